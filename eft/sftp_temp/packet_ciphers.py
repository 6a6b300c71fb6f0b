"""The ciphers of the faster packet layer: what asyncssh's own objects do, one context for a direction, and nothing joined.

Each goes on where asyncssh's object stands: with its keys, its counter, its running context. Each has the methods of asyncssh's
`Encryption`, too, so that the library's own code and packet_layer.py seal and open with the same state.
"""

from __future__ import annotations

from collections.abc import Callable
import hmac
import struct
import threading
from typing import Any

from asyncssh.encryption import Encryption
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

GCM, CHACHA, HMAC = "gcm", "chacha", "hmac"

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_TAG = 16
_BLOCK = 16
_BLOCK_0 = bytes(64)
_PLAIN_BYTES = 128 * 1024
_thread = threading.local()


class PacketCipher(Encryption):
    """One direction of one connection. Packets lie whole in one buffer: four bytes of length, the body, the MAC."""

    given: bytes | None = None
    """What the library gets from `decrypt_packet`: the body of a packet that was opened before."""

    def length(self, sequence: int, first: memoryview) -> int:
        """The packet's length, from its first block. Called once for a packet: it may move the cipher on."""
        raise TypeError(type(self).__name__)

    def open(self, sequence: int, packet: memoryview) -> bytes | None:
        """The body: padding length, payload, padding. None where the MAC is wrong."""
        raise TypeError(type(self).__name__)

    def seal(self, sequence: int, packet: bytes) -> bytes | bytearray:
        """The packet as it is sent, from its length and body."""
        raise TypeError(type(self).__name__)

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        return bytes(self.seal(seq, header + packet)), b""

    def decrypt_packet(self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes) -> bytes | None:
        given, self.given = self.given, None
        return given


class LibraryCipher(PacketCipher):
    """Asyncssh's own object, behind the interface of the others."""

    def __init__(self, library: Encryption, block: int, mac: int) -> None:
        self._library, self._block, self._mac = library, block, mac
        self._first = b""

    def length(self, sequence: int, first: memoryview) -> int:
        self._first, length = self._library.decrypt_header(sequence, bytes(first[: self._block]), 4)
        return int.from_bytes(length, "big")

    def open(self, sequence: int, packet: memoryview) -> bytes | None:
        end = len(packet) - self._mac
        return self._library.decrypt_packet(sequence, self._first, bytes(packet[self._block : end]), 4, bytes(packet[end:]))

    def seal(self, sequence: int, packet: bytes) -> bytes:
        sealed, mac = self._library.encrypt_packet(sequence, packet[:4], packet[4:])
        return sealed + mac


class GcmCipher(PacketCipher):
    """AES-GCM, RFC 5647 as OpenSSH has it: the length in the clear and authenticated, the counter of the nonce goes up."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._aead = AESGCM(key)
        self._fixed = iv[:4]
        self._counter = int.from_bytes(iv[4:], "big")

    def _nonce(self) -> bytes:
        counter = self._counter
        self._counter = (counter + 1) & 0xFFFFFFFFFFFFFFFF
        nonce: bytes = self._fixed + _U64.pack(counter)
        return nonce

    def length(self, sequence: int, first: memoryview) -> int:
        length: int = _U32.unpack_from(first)[0]
        return length

    def open(self, sequence: int, packet: memoryview) -> bytes | None:
        try:
            return self._aead.decrypt(self._nonce(), packet[4:], packet[:4])
        except InvalidTag:
            return None

    def seal(self, sequence: int, packet: bytes) -> bytearray:
        sealed = bytearray(len(packet) + _TAG)
        sealed[:4] = packet[:4]
        self._aead.encrypt_into(self._nonce(), memoryview(packet)[4:], packet[:4], memoryview(sealed)[4:])
        return sealed


class ChachaCipher(PacketCipher):
    """chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305): two contexts, given a new nonce for each packet."""

    def __init__(self, key: bytes, length_key: bytes) -> None:
        self._body = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
        self._head = Cipher(ChaCha20(length_key, bytes(16)), mode=None).encryptor()

    def _begin(self, sequence: int) -> bytes:
        """The key of the MAC: the first half of block 0. The context goes on with block 1."""
        self._body.reset_nonce(bytes(8) + _U64.pack(sequence))
        return self._body.update(_BLOCK_0)[:32]

    def length(self, sequence: int, first: memoryview) -> int:
        self._head.reset_nonce(bytes(8) + _U64.pack(sequence))
        return int.from_bytes(self._head.update(first[:4]), "big")

    def open(self, sequence: int, packet: memoryview) -> bytes | None:
        key, end = self._begin(sequence), len(packet) - _TAG
        try:
            Poly1305.verify_tag(key, packet[:end], bytes(packet[end:]))
        except InvalidSignature:
            return None
        return self._body.update(packet[4:end])

    def seal(self, sequence: int, packet: bytes) -> bytearray:
        key, end = self._begin(sequence), len(packet)
        sealed = bytearray(end + _TAG)
        view = memoryview(sealed)
        self._head.reset_nonce(bytes(8) + _U64.pack(sequence))
        sealed[:4] = self._head.update(packet[:4])
        self._body.update_into(memoryview(packet)[4:], view[4:end])
        view[end:] = Poly1305.generate_tag(key, view[:end])
        return sealed


class HmacCipher(PacketCipher):
    """AES-CTR with HMAC, RFC 4253 §6.4, the MAC over the plaintext, or over the ciphertext (`-etm@openssh.com`).

    A MAC over the plaintext is over the sequence number, the first block and the rest, which are put in one place for it.
    """

    def __init__(
        self, cipher: Any, opener: Any, algorithm: Callable[[bytes], Any], key: bytes, *, size: int, block: int, etm: bool
    ) -> None:
        """`cipher`: asyncssh's; `opener`: its context for what is received. `key`: of the MAC, of which `size` bytes are sent."""
        self._cipher = cipher
        self._opener = opener
        self._block, self._mac_bytes, self._etm = block, size, etm
        self._inner, self._outer = _keyed(algorithm, key)
        self._first = b""

    def _sign(self, sequence: int, *parts: bytes | memoryview) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(_U32.pack(sequence))
        for part in parts:
            inner.update(part)
        outer.update(inner.digest())
        signed: bytes = outer.digest()[: self._mac_bytes]
        return signed

    def length(self, sequence: int, first: memoryview) -> int:
        if self._etm:
            length: int = _U32.unpack_from(first)[0]
            return length
        self._first = self._opener.update(first[: self._block])
        length = _U32.unpack_from(self._first)[0]
        return length

    def open(self, sequence: int, packet: memoryview) -> bytes | None:
        end = len(packet) - self._mac_bytes
        if self._etm:
            if not hmac.compare_digest(self._sign(sequence, packet[:end]), packet[end:]):
                return None
            body: bytes = self._opener.update(packet[4:end])
            return body
        # One place for all connections of a thread: nothing of it is needed once this method has returned.
        block, plain = 4 + self._block, _plain(end)
        _U32.pack_into(plain, 0, sequence)
        plain[4:block] = self._first
        self._opener.update_into(packet[self._block : end], plain[block:])
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(plain[: 4 + end])
        outer.update(inner.digest())
        if not hmac.compare_digest(outer.digest()[: self._mac_bytes], packet[end:]):
            return None
        return bytes(plain[8 : 4 + end])

    def seal(self, sequence: int, packet: bytes) -> bytes:
        if self._etm:
            head, body = packet[:4], self._cipher.encrypt(memoryview(packet)[4:])
            return b"".join((head, body, self._sign(sequence, head, body)))
        return b"".join((self._cipher.encrypt(packet), self._sign(sequence, packet)))


def _plain(size: int) -> memoryview:
    """Where a packet of `size` bytes without its MAC is put together, behind its sequence number; with room for one block more,
    which the cipher asks for."""
    plain: memoryview | None = getattr(_thread, "plain", None)
    if plain is None or len(plain) < size + 4 + _BLOCK:
        plain = _thread.plain = memoryview(bytearray(max(size + 4 + _BLOCK, _PLAIN_BYTES)))
    return plain


def _keyed(algorithm: Callable[[bytes], Any], key: bytes) -> tuple[Any, Any]:
    """The two hashes of HMAC (RFC 2104), each past the block that holds the key: the standard library's object for HMAC takes
    longer to copy than a small packet to hash."""
    block = algorithm(b"").block_size
    key = (algorithm(key).digest() if len(key) > block else key).ljust(block, b"\x00")
    return algorithm(bytes(byte ^ 0x36 for byte in key)), algorithm(bytes(byte ^ 0x5C for byte in key))
