"""What a part of a form says of itself: its field, and the name of its file (RFC 7578 §4.2, WHATWG HTML §4.10.21.8)."""

from __future__ import annotations

from dataclasses import dataclass
import re
from urllib.parse import unquote_to_bytes

from eft.domain.errors import NameNotAllowed

_PARAMETER = re.compile(rb';\s*([A-Za-z0-9_-]+\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_EXTENDED = re.compile(rb"(utf-8|iso-8859-1)'[^']*'([!#$&+.^_`|~0-9A-Za-z%-]*)", re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"(?:[A-Za-z]:\\|\\\\)")
_CHARSETS = {"utf-8": "utf-8", "iso-8859-1": "cp1252", "windows-1252": "cp1252", "us-ascii": "ascii"}


@dataclass(frozen=True, slots=True)
class Disposition:
    """`field` is the form's name of the part, `filename` as it was sent: None where the part is no file."""

    field: str
    filename: bytes | None
    extended: bytes | None


def read_disposition(value: bytes) -> Disposition | None:
    """None where it is none of `form-data`."""
    kind, _, _ = value.partition(b";")
    if kind.strip().lower() != b"form-data":
        return None
    found: dict[bytes, bytes] = {}
    for match in _PARAMETER.finditer(value):
        quoted = match[2]
        # A browser leaves a backslash as it is; curl puts one in front of a quotation mark or another one.
        text = match[3] if quoted is None else re.sub(rb'\\(["\\])', rb"\1", quoted)
        found.setdefault(match[1].lower(), text)
    field = found.get(b"name", b"").decode("utf-8", "replace")
    return Disposition(field, found.get(b"filename"), found.get(b"filename*"))


def file_name(disposition: Disposition, charset: str) -> str:
    """The file's name; empty where no file was chosen. `charset` is what the form said of itself.

    The directories of an old browser's `C:\\…` are left out. Raises NameNotAllowed where it cannot be read.
    """
    if disposition.extended is not None:
        found = _EXTENDED.fullmatch(disposition.extended)
        if found is None:
            raise NameNotAllowed("is not encoded as RFC 5987 says")
        return _decoded(unquote_to_bytes(found[2]), found[1].decode().lower())
    raw = disposition.filename or b""
    for escaped, plain in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        raw = raw.replace(escaped, plain)
    name = _decoded(raw, charset)
    return name.rpartition("\\")[2] if _WINDOWS_PATH.match(name) else name


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(_CHARSETS.get(charset.lower(), "utf-8"))
    except UnicodeDecodeError:
        raise NameNotAllowed(f"is not valid {charset}") from None
