"""Public SSH keys as people paste them: what is taken, and what is said of everything else.

Taken are one OpenSSH line, an RFC 4716 block, and the public part of a PuTTY key file; of Ed25519, of ECDSA on the curves P-256,
P-384 and P-521, and of RSA with 2,048 to 8,192 bits. Sources: RFC 4253 §6.6, RFC 4716, RFC 5656 §3.1, RFC 8709 §4.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
import hashlib
from typing import Final

from eft.domain.errors import PublicKeyInvalid

ED25519, RSA = "ssh-ed25519", "ssh-rsa"
SHORTEST_RSA, LONGEST_RSA = 2048, 8192
LONGEST_TEXT: Final = 16 * 1024
LONGEST_COMMENT: Final = 100
MOST_KEYS: Final = 10
"""Of one account."""

_ED25519_BYTES = 32
_LARGEST_EXPONENT_BITS = 64

_MAKE_ONE = "Make one with `ssh-keygen -t ed25519`, and paste the line from the file that ends in .pub."
_COPY_AGAIN = "Copy the whole line from the file that ends in .pub, from the name of its type to the comment."


@dataclass(frozen=True, slots=True)
class _Curve:
    """A NIST curve, y² = x³ - 3x + b over the field of `p`."""

    bits: int
    p: int
    b: int

    def has(self, x: int, y: int) -> bool:
        return x < self.p and y < self.p and (y * y - (x * x * x - 3 * x + self.b)) % self.p == 0


_CURVES: Final = {
    "nistp256": _Curve(
        256,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    "nistp384": _Curve(
        384,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "nistp521": _Curve(
        521,
        2**521 - 1,
        0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}
_ECDSA = "ecdsa-sha2-"
KINDS: Final = (ED25519, *(_ECDSA + name for name in _CURVES), RSA)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key: `kind` as SSH names its type, `bits` as ssh-keygen counts them, the `blob` of RFC 4253 §6.6, and the comment that
    it came with."""

    kind: str
    bits: int
    blob: bytes
    comment: str = ""

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as OpenSSH shows it."""
        return fingerprint_of(self.blob)


def fingerprint_of(blob: bytes) -> str:
    """`SHA256:…` of an encoded key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def parse_public_key(text: str) -> PublicKey:
    """The key in what somebody pasted. Raises PublicKeyInvalid, whose sentences say what was pasted instead."""
    if len(text) > LONGEST_TEXT:
        raise PublicKeyInvalid("This is too long for a public key.", "Paste one key, and nothing else.")
    lines = [line.strip() for line in text.replace("\ufeff", "").splitlines() if line.strip()]
    if not lines:
        raise PublicKeyInvalid("There is no public key here.", _MAKE_ONE)
    if is_private(text):
        raise PublicKeyInvalid(
            "This is a private key. It was not kept.",
            "A private key never leaves its owner's machine: make a new pair, and paste the public key, from the file that ends "
            "in .pub or from the field at the top of PuTTYgen.",
        )
    if lines[0].startswith("---- BEGIN SSH2 PUBLIC KEY"):
        kind, blob, comment = _rfc4716(lines)
    elif lines[0].startswith("PuTTY-User-Key-File-"):
        kind, blob, comment = _putty(lines)
    elif lines[0].startswith("-----BEGIN "):
        raise PublicKeyInvalid(
            "This key or certificate is in PEM form, which SSH programs do not exchange.",
            "Convert it with `ssh-keygen -i -m PKCS8 -f FILE`, and paste the line that this prints.",
        )
    elif len(lines) > 1:
        raise PublicKeyInvalid(
            "There are several lines.",
            "Paste one key at a time; a key in OpenSSH's form is one line, however long.",
        )
    else:
        kind, blob, comment = _openssh(lines[0])
    return PublicKey(kind, _check(kind, blob), blob, _shown(comment))


def is_private(text: str) -> bool:
    """Whether somebody pasted a private key by mistake, in any form that it is stored in."""
    lines = [line.strip() for line in text.splitlines()]
    pem = any("-----BEGIN " in line and "PRIVATE KEY" in line for line in lines)
    ssh2 = any("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY" in line for line in lines)
    putty = any(line.startswith(("Private-Lines:", "Private-MAC:")) for line in lines)
    return pem or ssh2 or putty


def _openssh(line: str) -> tuple[str, bytes, str]:
    words = line.split(None, 2)
    kind = words[0]
    if kind not in KINDS:
        _refuse_kind(kind)
        later = [word for word in line.split()[1:] if word in KINDS or word.startswith(("ssh-", "ecdsa-", "sk-"))]
        if later:
            raise PublicKeyInvalid(
                "There are options in front of the key, which are not taken.",
                f"Leave out what stands before {later[0] if later[0] in KINDS else 'the type of the key'}, and paste the rest.",
            )
        raise PublicKeyInvalid("This is not a public key.", _MAKE_ONE)
    if len(words) < 2:
        raise PublicKeyInvalid("The key is cut off after its type.", _COPY_AGAIN)
    return kind, _decoded(words[1]), words[2] if len(words) > 2 else ""


def _rfc4716(lines: list[str]) -> tuple[str, bytes, str]:
    if not lines[-1].startswith("---- END SSH2 PUBLIC KEY"):
        raise PublicKeyInvalid(
            "The block is not whole: its last line is missing, or something follows it.",
            "Paste one block, from its line ---- BEGIN to its line ---- END.",
        )
    body, comment = lines[1:-1], ""
    while body and ":" in body[0]:
        header = body.pop(0)
        while header.endswith("\\") and body:
            header = header[:-1] + body.pop(0)
        name, _, value = header.partition(":")
        if name.strip().lower() == "comment":
            comment = value.strip().strip('"')
    if any(line.startswith("----") for line in body):
        raise PublicKeyInvalid("There are several keys.", "Paste one key at a time.")
    blob = _decoded("".join(body))
    return _kind_of(blob), blob, comment


def _putty(lines: list[str]) -> tuple[str, bytes, str]:
    """The public part alone, without the lines that make it private."""
    comment = next((line.partition(":")[2].strip() for line in lines if line.startswith("Comment:")), "")
    start = next((number for number, line in enumerate(lines) if line.startswith("Public-Lines:")), None)
    count = lines[start].partition(":")[2].strip() if start is not None else ""
    if start is None or not count.isdecimal() or len(lines) - start - 1 < int(count[:4]):
        raise PublicKeyInvalid(
            "The public part of this PuTTY key is not whole.", "Copy the key from the field at the top of PuTTYgen's window."
        )
    blob = _decoded("".join(lines[start + 1 : start + 1 + int(count[:4])]))
    return _kind_of(blob), blob, comment


def _decoded(text: str) -> bytes:
    try:
        blob = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise PublicKeyInvalid("The key is damaged or cut off.", _COPY_AGAIN) from None
    return blob


def _kind_of(blob: bytes) -> str:
    kind = _strings(blob, 1)[0].decode("ascii", "replace")
    _refuse_kind(kind)
    return kind


def _refuse_kind(kind: str) -> None:
    """Raises PublicKeyInvalid for what is a key, and of a kind that is not taken."""
    if "-cert-v0" in kind:
        raise PublicKeyInvalid("This is a certificate, which is not taken.", "Paste the public key that it was made for.")
    if kind in ("ssh-dss", "ssh-dsa"):
        raise PublicKeyInvalid("DSA keys are not taken: they are too weak.", _MAKE_ONE)
    if kind.startswith("sk-"):
        raise PublicKeyInvalid("Keys of hardware tokens are not taken.", _MAKE_ONE)
    if kind not in KINDS and kind.startswith(("ssh-", "ecdsa-", "x509v3-")):
        raise PublicKeyInvalid("Keys of this type are not taken; Ed25519, ECDSA and RSA are.", _MAKE_ONE)


def _check(kind: str, blob: bytes) -> int:
    """The bits of the key, once everything in it was seen to be as it should. Raises PublicKeyInvalid."""
    if kind == ED25519:
        named, point = _strings(blob, 2)
        _need(named == kind.encode() and len(point) == _ED25519_BYTES)
        return 256
    if kind == RSA:
        named, exponent, modulus = _strings(blob, 3)
        _need(named == kind.encode())
        return _check_rsa(_integer(exponent), _integer(modulus))
    _need(kind in KINDS)
    named, curve_name, point = _strings(blob, 3)
    curve = _CURVES[kind.removeprefix(_ECDSA)]
    size = (curve.bits + 7) // 8
    _need(named == kind.encode() and curve_name.decode("ascii", "replace") == kind.removeprefix(_ECDSA))
    _need(len(point) == 1 + 2 * size and point[0] == 4)
    _need(curve.has(int.from_bytes(point[1 : 1 + size], "big"), int.from_bytes(point[1 + size :], "big")))
    return curve.bits


def _check_rsa(exponent: int, modulus: int) -> int:
    bits = modulus.bit_length()
    if bits < SHORTEST_RSA:
        raise PublicKeyInvalid(f"This RSA key has {bits} bits; {SHORTEST_RSA} are the least.", _MAKE_ONE)
    if bits > LONGEST_RSA:
        raise PublicKeyInvalid(f"This RSA key has {bits} bits; {LONGEST_RSA} are the most.", _MAKE_ONE)
    _need(modulus % 2 == 1 and exponent % 2 == 1 and exponent >= 3 and exponent.bit_length() <= _LARGEST_EXPONENT_BITS)
    return bits


def _strings(blob: bytes, count: int) -> list[bytes]:
    """The length-prefixed fields of a key: the first where one is asked for, otherwise exactly `count`.

    Raises PublicKeyInvalid.
    """
    found: list[bytes] = []
    position = 0
    while position < len(blob) and (count > 1 or not found):
        stop = position + 4 + int.from_bytes(blob[position : position + 4], "big")
        _need(len(found) < count and position + 4 <= stop <= len(blob))
        found.append(blob[position + 4 : stop])
        position = stop
    _need(len(found) == count)
    return found


def _integer(field: bytes) -> int:
    """A positive number in its only encoding (RFC 4251 §5 mpint). Raises PublicKeyInvalid."""
    _need(bool(field) and field[0] < 0x80 and not (len(field) > 1 and field[0] == 0 and field[1] < 0x80))
    return int.from_bytes(field, "big")


def _need(fine: bool) -> None:
    if not fine:
        raise PublicKeyInvalid("The key is damaged or cut off.", _COPY_AGAIN)


def _shown(comment: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in comment).strip()[:LONGEST_COMMENT].strip()
