"""The integrity fields of RFC 9530: dictionaries of algorithm and digest, `sha-256=:BASE64:`."""

from __future__ import annotations

from base64 import b64decode, b64encode
import binascii
import hashlib
import re
from typing import Final

from eft.domain.downloads import repr_digest, wants_digest
from eft.domain.errors import Invalid
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal

_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*(?:;[^,]*)?")
_SHA512 = re.compile(r"(?:^|,)\s*sha-512\s*=\s*([0-9]{1,2})\s*(?=,|$)")
_BYTES: Final = {"sha-256": 32, "sha-512": 64}

SHA512_BYTES: Final = 4 * 1024 * 1024
"""Bytes of the largest finished file whose SHA-512 is told to who asks for it: it is not kept, and counted each time."""

CONTENT_ALGORITHMS: Final = {"sha-256": "sha256", "sha-512": "sha512"}
"""What a request's own content may be checked with, and the part checksum that it is."""


def digests(headers: Headers, name: str) -> dict[str, bytes]:
    """The digests that the field has, by algorithm, in their order; those of an unknown algorithm too. Raises Invalid."""
    found: dict[str, bytes] = {}
    listed = ",".join(headers.get_all(name)).strip()
    for member in listed.split(",") if listed else ():
        matched = _MEMBER.fullmatch(member)
        if matched is None:
            raise Invalid(f"{name} is no dictionary of digests.", f"Send, for example, `{name}: sha-256=:BASE64:`.")
        try:
            # What is missing at the end is no fault (RFC 9651 §4.2.7).
            digest = b64decode(matched[2] + "=" * (-len(matched[2]) % 4), validate=True)
        except binascii.Error:
            raise Invalid(f"{name} has a digest that is not Base64.", "Encode the digest in Base64, between colons.") from None
        if len(digest) != _BYTES.get(matched[1], len(digest)):
            raise Invalid(f"{name} has a digest of the wrong length.", "Send the whole digest.")
        found[matched[1]] = digest
    return found


def content_digests(headers: Headers) -> list[tuple[str, bytes]]:
    """The part checksums that Content-Digest asks for. Raises Invalid; Refusal where it has none that can be checked."""
    said = digests(headers, "Content-Digest")
    known = [(CONTENT_ALGORITHMS[name], digest) for name, digest in said.items() if name in CONTENT_ALGORITHMS]
    if said and not known:
        raise _unknown("Content-Digest", "sha-256=10, sha-512=5")
    return known


def whole_sha256(headers: Headers) -> str | None:
    """The SHA-256 of the whole file, in hex, that Repr-Digest declares; None without it. Raises Invalid; Refusal where it
    declares another digest alone, which could not be verified."""
    said = digests(headers, "Repr-Digest")
    if said and "sha-256" not in said:
        raise _unknown("Repr-Digest", "sha-256=10")
    return said["sha-256"].hex() if said else None


def add_repr_digest(headers: Headers, sha256: str, asked: Headers) -> None:
    """Tells the digest of a finished file, from hex, unless the request's Want-Repr-Digest says that it is unwanted."""
    if wants_digest(", ".join(asked.get_all("Want-Repr-Digest")) or None):
        headers.add("Repr-Digest", repr_digest(sha256))


def wants_sha512(asked: Headers) -> bool:
    """Whether the request's Want-Repr-Digest (RFC 9530 §4) asks for it, besides or instead of SHA-256."""
    return any(int(weight) > 0 for weight in _SHA512.findall(", ".join(asked.get_all("Want-Repr-Digest"))))


def add_sha512(headers: Headers, content: bytes) -> None:
    """Tells the SHA-512 of a finished file too."""
    told = [*headers.get_all("Repr-Digest"), f"sha-512=:{b64encode(hashlib.sha512(content).digest()).decode()}:"]
    headers.set("Repr-Digest", ", ".join(told))


def _unknown(name: str, wanted: str) -> Refusal:
    return Refusal(
        400,
        "checksum-algorithm-unknown",
        f"{name} has no digest that can be checked here.",
        f"Send one of those that Want-{name} lists.",
        headers={f"Want-{name}": wanted},
    )
