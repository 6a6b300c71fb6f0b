"""A file in one request: raw bytes into the receive path (R1, a hand-back by support)."""

from __future__ import annotations

import asyncio
from base64 import b64decode
import binascii
from collections.abc import AsyncIterator
from contextlib import suppress
import re
from urllib.parse import parse_qsl

from eft.domain.attachment import Attachment
from eft.domain.errors import Busy, DigestInvalid, DigestMismatch, EftError, Invalid, LengthInvalid, NameNotAllowed
from eft.domain.upload import Completeness
from eft.transfers.intent import Intent
from eft.transfers.reception import Reception
from eft.transfers.service import Transfers

_SHA256_MEMBER = re.compile(r"(?:^|,)\s*sha-256\s*=\s*([^,]*)", re.IGNORECASE)


async def take_in(transfers: Transfers, case_id: str, intent: Intent, body: AsyncIterator[bytes]) -> Attachment:
    """The attachment that the whole body became. A body that breaks off leaves nothing behind.

    Raises what `begin` and `finish` raise. After DigestMismatch the upload stays, refused, for staff to look at (P3).
    """
    reception = await transfers.begin(case_id, intent)
    try:
        async for chunk in body:
            reception.offer(chunk)
            if reception.full:
                await reception.ready()
        declared = intent.length is not None or intent.sha256 is not None
        attachment = await reception.finish(Completeness.DECLARED if declared else Completeness.CLOSED)
        if attachment is None:
            raise Busy(10, "The file is stored whole; its digest is still being worked out.")
        return attachment
    except DigestMismatch:
        raise
    except BaseException:
        await asyncio.shield(_give_up(transfers, reception, case_id, intent))
        raise
    finally:
        await asyncio.shield(reception.release())


async def _give_up(transfers: Transfers, reception: Reception, case_id: str, intent: Intent) -> None:
    await reception.release()
    # Nothing of it may have been stored; or its case was closed meanwhile, and it expires like any other.
    with suppress(EftError):
        await transfers.terminate(reception.upload_id, case_id=case_id, actor=intent.actor, why="broken-off")


def declared_name(query: bytes) -> str:
    """The `name` of a query string. Raises NameNotAllowed where it is not UTF-8, Invalid where it is missing or there twice."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise NameNotAllowed("is not valid UTF-8") from None
    names = [value for key, value in pairs if key == "name"]
    if len(names) != 1:
        raise Invalid("The file's name is missing or given twice.", "Send it once, as ?name=, percent-encoded.")
    return names[0]


def declared_length(content_length: str | None) -> int | None:
    """Bytes of the body, where the request says so. Raises LengthInvalid."""
    if content_length is None:
        return None
    if not content_length.isascii() or not content_length.isdecimal() or len(content_length) > 18:
        raise LengthInvalid("Content-Length is not a number of bytes.", "Send the file's size.")
    return int(content_length)


def declared_digest(repr_digest: str | None) -> str | None:
    """The SHA-256, in hex, that a `Repr-Digest` declares (RFC 9530 §3); None where it declares none. Other algorithms are
    passed over, as the RFC allows. Raises DigestInvalid."""
    found = _SHA256_MEMBER.findall(repr_digest or "")
    if not found:
        return None
    value = found[-1].strip()
    if len(value) < 2 or value[0] != ":" or value[-1] != ":":
        raise DigestInvalid("Repr-Digest is not well formed.", "Send it as sha-256=:BASE64:")
    try:
        digest = b64decode(value[1:-1], validate=True)
    except binascii.Error:
        raise DigestInvalid("Repr-Digest is not well formed.", "Send it as sha-256=:BASE64:") from None
    if len(digest) != 32:
        raise DigestInvalid("The declared digest is not a SHA-256.", "Send it as sha-256=:BASE64:")
    return digest.hex()


def refuse_encoding(content_encoding: str | None) -> None:
    """Bytes are stored as they come, never unpacked. Raises Invalid for a body that says it is packed."""
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        raise Invalid("The body has a Content-Encoding.", "Send the file's own bytes, without one.")
