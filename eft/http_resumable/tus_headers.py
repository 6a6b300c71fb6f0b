"""The header fields of tus 1.0.0: what they say, and what is wrong with them."""

from __future__ import annotations

from base64 import b64decode
import binascii
from dataclasses import dataclass
import re
import secrets
from typing import Final

from eft.domain.digests import parse_sha256
from eft.domain.errors import DigestInvalid, Invalid, LengthInvalid, MetadataInvalid, NotFound, TooLarge
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal

VERSION: Final = "1.0.0"
EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "expiration",
    "checksum",
    "checksum-trailer",
    "concatenation",
    "concatenation-unfinished",
)
PART_TYPE: Final = "application/offset+octet-stream"
METADATA_BYTES: Final = 8 * 1024
TOLD_CONCAT_BYTES: Final = 8 * 1024
"""How long an Upload-Concat may be to be told in the answer to a creation too; HEAD always tells it. Many clients' HTTP stacks
take no answer with more header bytes than 16 KiB."""

_NUMBER = re.compile(r"[0-9]+")
_DIGITS: Final = 18
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PART = re.compile(r"(?:(?:(?:(?i:https?)://[^/?#]+)?/)?files/)?([0-9a-f]{32})/?")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the client says of its file. `text` is its header as it came."""

    text: str
    name: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Concat:
    """Upload-Concat, `text` as it came: of a part, or of a final upload with the ids of its parts."""

    text: str
    part_ids: tuple[str, ...]


def method_of(method: str, headers: Headers) -> str:
    """The method that counts: X-HTTP-Method-Override before the request's own (tus 1.0.0 §Core Protocol). Raises Refusal."""
    named = {each.upper() for each in headers.get_all("X-HTTP-Method-Override") if each}
    if not named:
        return method
    if len(named) > 1 or not named <= _METHODS:
        raise Refusal(400, "method-override-invalid", "X-HTTP-Method-Override names no method of this protocol, or several.")
    return named.pop()


def check_version(method: str, headers: Headers) -> None:
    """Raises Refusal (412) for another version than ours, or none. A plain download needs none."""
    said = headers.get_all("Tus-Resumable")
    if set(said) == {VERSION} or method == "OPTIONS" or (not said and method == "GET"):
        return
    raise Refusal(
        412,
        "tus-version",
        f"This server speaks tus {VERSION}; the request says {'another version' if said else 'none'}.",
        f"Send Tus-Resumable: {VERSION}.",
        headers={"Tus-Version": VERSION},
    )


def check_part_type(headers: Headers) -> None:
    """Raises Refusal (415) where a part is not of the type that tus gives it."""
    said = [each.partition(";")[0].strip().lower() for each in headers.get_all("Content-Type")]
    if said != [PART_TYPE]:
        raise Refusal(415, "content-type", "The body is no part of an upload.", f"Send Content-Type: {PART_TYPE}.")


def upload_offset(headers: Headers) -> int:
    """Bytes. Raises Invalid."""
    offset = _number(headers, "Upload-Offset")
    if offset is None:
        raise Invalid("Upload-Offset is missing.", "Send the offset that HEAD tells.")
    return offset


def upload_length(headers: Headers) -> int | None:
    """Bytes, None where it is not said. Raises Invalid, TooLarge."""
    length = _number(headers, "Upload-Length")
    if length is not None and length >= 10**_DIGITS:
        raise TooLarge(10**_DIGITS - 1, "upload")
    return length


def creation_length(headers: Headers) -> int | None:
    """Bytes of the file to come, None where its length is deferred. Raises LengthInvalid, Invalid."""
    length = upload_length(headers)
    deferred = headers.get_all("Upload-Defer-Length")
    if deferred and deferred != ["1"]:
        raise LengthInvalid("Upload-Defer-Length can only be 1.", "Send Upload-Defer-Length: 1, or Upload-Length.")
    if (length is None) == (not deferred):
        raise LengthInvalid(
            "A new upload says its length, or that the length follows; not both.",
            "Send either Upload-Length or Upload-Defer-Length: 1.",
        )
    return length


def one_digest(said: str | None, also_said: str | None) -> str | None:
    """The whole file's SHA-256, which may be declared in two places. Raises DigestInvalid where they differ."""
    if said is not None and also_said is not None and said != also_said:
        raise DigestInvalid("The file's digest is declared twice, and differently.", "Declare it once.")
    return said or also_said


def concat_of(headers: Headers) -> Concat | None:
    """What Upload-Concat says, None without it. A part may be named by its path or its whole address, whatever name the server
    has there. Raises Invalid; NotFound for what is no upload's address, so that no part is ever left out in silence."""
    said = headers.get_all("Upload-Concat")
    if not said:
        return None
    if said == ["partial"]:
        return Concat("partial", ())
    kind, _, listed = said[0].partition(";")
    addresses = listed.split()
    if len(said) > 1 or kind.strip() != "final" or not addresses:
        raise Invalid("Upload-Concat is neither partial nor a list of parts.", "Send `partial`, or `final;/files/ID /files/ID`.")
    return Concat(said[0], tuple(_part_id(address) for address in addresses))


def _part_id(address: str) -> str:
    named = _PART.fullmatch(address)
    if named is None:
        raise NotFound
    return named[1]


def metadata_of(headers: Headers) -> Metadata:
    """What Upload-Metadata says, in one line or several (RFC 9110 §5.3); a file without a name is given one. Raises
    MetadataInvalid, DigestInvalid."""
    text = ",".join(headers.get_all("Upload-Metadata"))
    if len(text) > METADATA_BYTES:
        raise MetadataInvalid(f"Upload-Metadata is longer than {METADATA_BYTES} bytes.", "Send less of it.")
    pairs = _pairs(text)
    digest = _text(pairs, "sha256")
    return Metadata(text, _name(pairs), parse_sha256(digest) if digest else None)


def _pairs(text: str) -> dict[str, bytes]:
    """Tus 1.0.0 §Upload-Metadata: `key base64,key base64`; a value may be missing, and any bytes; a key comes once."""
    pairs: dict[str, bytes] = {}
    for pair in text.split(",") if text.strip() else ():
        key, _, encoded = pair.strip(" ").partition(" ")
        if not _KEY.fullmatch(key) or key in pairs:
            raise MetadataInvalid("A key of Upload-Metadata is empty, not ASCII, or there twice.", "Correct the header.")
        try:
            pairs[key] = b64decode(encoded.strip(" "), validate=True)
        except binascii.Error:
            raise MetadataInvalid("A value of Upload-Metadata is not Base64.", "Encode each value in Base64.") from None
    return pairs


def _text(pairs: dict[str, bytes], key: str) -> str:
    """A value that is understood here, empty without it. Raises MetadataInvalid."""
    try:
        return pairs.get(key, b"").decode("utf-8")
    except UnicodeDecodeError:
        raise MetadataInvalid(
            f"The value of {key} in Upload-Metadata is not UTF-8.", "Encode its UTF-8 bytes in Base64."
        ) from None


def _name(pairs: dict[str, bytes]) -> str:
    path = _text(pairs, "relativePath")
    # Uppy writes a path that it does not know as the word null, and one that it knows with a slash in front.
    if path and path != "null":
        return path.removeprefix("/")
    return _text(pairs, "filename") or f"unnamed-{secrets.token_hex(4)}"


def _number(headers: Headers, name: str) -> int | None:
    """10**18 for anything larger: no file has so many bytes, and no database a place for the number."""
    said = headers.get_all(name)
    if not said:
        return None
    if len(said) > 1 or not _NUMBER.fullmatch(said[0]):
        raise Invalid(f"{name} is not one number of bytes.", "Send it once, in decimal digits.")
    digits = said[0].lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS
