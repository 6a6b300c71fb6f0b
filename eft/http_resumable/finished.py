"""An upload whose every byte is durable, but whose sender was cut off before the file was published."""

from __future__ import annotations

from eft.domain.upload import Completeness, Upload, UploadState
from eft.transfers import Transfers


async def finish_what_is_whole(transfers: Transfers, upload: Upload, case_id: str) -> Upload:
    """The upload as it is after that: a client that is told the full offset sends nothing more, so it is published now.

    Raises DigestMismatch.
    """
    if upload.state is not UploadState.RECEIVING or upload.offset != upload.length or upload.concat is not None:
        return upload
    reception = await transfers.take(upload.id, case_id=case_id)
    try:
        if reception.offset == reception.length:
            await reception.finish(Completeness.DECLARED)
    finally:
        await reception.release()
    return await transfers.progress(upload.id, case_id=case_id)
