"""What a sender tells of an upload only after it was begun: its length, and its digest. Each is told once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eft.db import uploads, usage
from eft.db.engine import Connection
from eft.domain.errors import AlreadyFinished, DigestInvalid, LengthInvalid, NotFound
from eft.domain.upload import Upload, UploadState
from eft.transfers.holders import Holders
from eft.transfers.intent import Allowance
from eft.transfers.resources import Resources

Telling = Callable[[Connection, Upload], Upload]
"""The upload with what was told of it. Raises what is wrong with that."""


async def tell_length(resources: Resources, holders: Holders, upload_id: str, length: int, case_id: str) -> None:
    """Bytes of the whole file. Raises NotFound, LengthInvalid, AlreadyFinished, CaseFull."""
    if length < 0:
        raise LengthInvalid("A length cannot be negative.", "Send the file's size in bytes.")
    hold = holders.hold_of(upload_id)
    quota = resources.settings.case_bytes

    def told(conn: Connection, row: Upload) -> Upload:
        if row.length not in (None, length):
            raise LengthInvalid("The upload already has another length.", "Leave Upload-Length out, or start a new upload.")
        if length < max(row.offset, hold.size if hold is not None else 0):
            raise LengthInvalid("More bytes are stored than the length says.", "Start a new upload.")
        if quota is not None:
            Allowance(quota, usage.bytes_of_case(conn, case_id, without=upload_id)).check(length)
        return replace(row, length=length)

    row = await _tell(resources, upload_id, case_id, told)
    if hold is not None:
        hold.upload = replace(hold.upload, length=row.length)


async def tell_sha256(resources: Resources, holders: Holders, upload_id: str, sha256: str, case_id: str) -> None:
    """The whole file's digest, in hex. Raises NotFound, DigestInvalid, AlreadyFinished."""

    def told(conn: Connection, row: Upload) -> Upload:
        if row.declared_sha256 not in (None, sha256):
            raise DigestInvalid("The file's digest was declared before, and differently.", "Declare it once.")
        return replace(row, declared_sha256=sha256)

    row = await _tell(resources, upload_id, case_id, told)
    hold = holders.hold_of(upload_id)
    if hold is not None:
        hold.upload = replace(hold.upload, declared_sha256=row.declared_sha256)


async def _tell(resources: Resources, upload_id: str, case_id: str, told: Telling) -> Upload:
    def work(conn: Connection) -> Upload:
        row = uploads.lock(conn, upload_id)
        if row is None or row.case_id != case_id:
            raise NotFound
        if row.state not in (UploadState.RECEIVING, UploadState.FROZEN):
            raise AlreadyFinished
        row = told(conn, row)
        uploads.save(conn, row)
        return row

    return await resources.database.write(work)
