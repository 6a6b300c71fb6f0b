"""The fast ciphers do what asyncssh's own do, bit for bit, in both directions and from any point on."""

from __future__ import annotations

import os

from asyncssh.encryption import Encryption, get_encryption, get_encryption_params
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from eft.sftp_temp import packet_ciphers
from eft.sftp_temp.packet_ciphers import LibraryCipher, PacketCipher
from eft.sftp_temp.packet_layer import PIECES, take_over
from eft.sftp_temp.transport import CIPHERS, MACS

PAIRS = [(cipher.encode(), mac.encode()) for cipher in CIPHERS for mac in (MACS if cipher.endswith("-ctr") else (cipher,))]
FAST = {"gcm": packet_ciphers.GcmCipher, "chacha": packet_ciphers.ChachaCipher, "hmac": packet_ciphers.HmacCipher}


class Pair:
    """Two of asyncssh's objects for the same direction, of which one may be taken over."""

    def __init__(self, cipher: bytes, mac: bytes) -> None:
        key_size, iv_size, block, mac_key_size, self.mac, self.etm = get_encryption_params(cipher, mac)
        key, iv, mac_key = os.urandom(key_size), os.urandom(iv_size), os.urandom(mac_key_size)
        self.block = max(8, block)

        def made() -> Encryption:
            return get_encryption(cipher, key, iv, mac, mac_key, self.etm)

        self.sender, self.receiver = made(), made()

    def fast(self, library: Encryption, pieces: frozenset[str] = PIECES) -> PacketCipher:
        return take_over(library, self.block, self.mac, pieces)

    def body(self, payload: bytes) -> bytes:
        head = 1 if self.etm else 5
        padding = -(head + len(payload)) % self.block
        padding += self.block if padding < 4 else 0
        return bytes([padding]) + payload + os.urandom(padding)

    def library_seal(self, sequence: int, body: bytes) -> bytes:
        sealed, mac = self.sender.encrypt_packet(sequence, len(body).to_bytes(4), body)
        return sealed + mac

    def library_open(self, sequence: int, packet: bytes) -> bytes | None:
        first, length = self.receiver.decrypt_header(sequence, packet[: self.block], 4)
        end = 4 + int.from_bytes(length)
        return self.receiver.decrypt_packet(sequence, first, packet[self.block : end], 4, packet[end:])


def opened(cipher: PacketCipher, block: int, sequence: int, packet: bytes) -> tuple[int, bytes | None]:
    view = memoryview(packet)
    return cipher.length(sequence, view[:block]), cipher.open(sequence, view)


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_every_cipher_that_is_offered_has_a_fast_one(cipher: bytes, mac: bytes) -> None:
    pair = Pair(cipher, mac)
    (piece,) = [piece for piece, kind in FAST.items() if isinstance(pair.fast(pair.sender), kind)]
    assert isinstance(pair.fast(pair.receiver, PIECES - {piece}), LibraryCipher)


@pytest.mark.parametrize("pieces", [PIECES, frozenset[str]()], ids=["fast", "library"])
@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
@given(
    payloads=st.lists(st.binary(min_size=1, max_size=200) | st.integers(1, 5000).map(os.urandom), min_size=1, max_size=6),
    sequence=st.sampled_from([0, 7, 0xFFFFFFFD]),
    before=st.integers(0, 2),
)
@settings(max_examples=12, deadline=None)
def test_they_seal_and_open_what_the_library_does(
    cipher: bytes, mac: bytes, pieces: frozenset[str], payloads: list[bytes], sequence: int, before: int
) -> None:
    """Also where the library has sealed and opened `before` packets itself."""
    ours, theirs = Pair(cipher, mac), Pair(cipher, mac)
    sealer: PacketCipher | None = None
    opener: PacketCipher | None = None
    for number, payload in enumerate(payloads):
        at = (sequence + number) & 0xFFFFFFFF
        body = ours.body(payload)
        if number < before:
            assert ours.library_open(at, ours.library_seal(at, body)) == body
            assert theirs.library_open(at, theirs.library_seal(at, body)) == body
            continue
        if sealer is None or opener is None:
            sealer, opener = ours.fast(ours.sender, pieces), theirs.fast(theirs.receiver, pieces)
        assert ours.library_open(at, bytes(sealer.seal(at, len(body).to_bytes(4) + body))) == body
        assert opened(opener, theirs.block, at, theirs.library_seal(at, body)) == (len(body), body)


@pytest.mark.parametrize("pieces", [PIECES, frozenset[str]()], ids=["fast", "library"])
@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
@given(at=st.floats(0, 0.999), bit=st.integers(0, 7), sequence=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_a_changed_bit_is_never_opened(
    cipher: bytes, mac: bytes, pieces: frozenset[str], at: float, bit: int, sequence: int
) -> None:
    pair = Pair(cipher, mac)
    body = pair.body(b"payload" * 20)
    packet = bytearray(pair.library_seal(sequence, body))
    position = 4 + int(at * (len(packet) - 4))
    packet[position] ^= 1 << bit
    _, found = opened(pair.fast(pair.receiver, pieces), pair.block, sequence, bytes(packet))
    assert found is None


@pytest.mark.parametrize(("cipher", "mac"), [pair for pair in PAIRS if b"gcm" not in pair[0]])
def test_a_packet_of_another_place_is_never_opened(cipher: bytes, mac: bytes) -> None:
    """GCM counts by itself: there it is the second of two packets that must not be the first."""
    pair = Pair(cipher, mac)
    packet = pair.library_seal(5, pair.body(b"payload" * 20))
    assert opened(pair.fast(pair.receiver), pair.block, 6, packet)[1] is None


def test_packets_of_gcm_are_opened_in_order_alone() -> None:
    pair = Pair(b"aes128-gcm@openssh.com", b"aes128-gcm@openssh.com")
    packets = [pair.library_seal(number, pair.body(b"payload")) for number in range(2)]
    assert opened(pair.fast(pair.receiver), pair.block, 0, packets[1])[1] is None
