"""Uploads whose every byte is durable, but whose senders were cut off before they heard of it."""

from __future__ import annotations

from contextlib import suppress

from eft.domain.errors import AlreadyFinished, OffsetMismatch, WriterDisplaced
from eft.domain.upload import Completeness, Upload, UploadState
from eft.http_resumable.part_checks import brings_nothing, check_nothing
from eft.http_resumable.receiving import Call, Part, Received
from eft.transfers import Transfers


async def told_again(transfers: Transfers, call: Call, upload_id: str, offset: int, part: Part) -> Received:
    """What was told to the request that finished the upload, once more, for an empty part at its end.

    Raises OffsetMismatch for another offset, AlreadyFinished where the request means anything else; what `check_nothing` and
    reading the body raise.
    """
    upload = await transfers.progress(upload_id, case_id=call.case_id)
    if offset != upload.offset:
        raise OffsetMismatch(upload.offset)
    says_more = part.length not in (None, upload.offset) or part.sha256 not in (None, upload.sha256) or part.ends is False
    if says_more or not await brings_nothing(call.request):
        raise AlreadyFinished
    check_nothing(call.request)
    return Received(upload_id=upload_id, offset=offset, finished=True, expires_at=upload.expires_at, sha256=upload.sha256)


async def finish_what_is_whole(transfers: Transfers, upload: Upload, case_id: str) -> Upload:
    """The upload as it is after that: a client that is told the full offset sends nothing more, so it is published now.

    Raises DigestMismatch.
    """
    if upload.state is not UploadState.RECEIVING or upload.offset != upload.length or upload.concat is not None:
        return upload
    with suppress(WriterDisplaced, AlreadyFinished):  # by somebody who does the same
        reception = await transfers.take(upload.id, case_id=case_id)
        try:
            if reception.offset == reception.length:
                await reception.finish(Completeness.DECLARED)
        finally:
            await reception.release()
    return await transfers.progress(upload.id, case_id=case_id)
