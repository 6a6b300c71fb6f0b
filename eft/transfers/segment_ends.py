"""Where the segments end that a former writer left open."""

from __future__ import annotations

from dataclasses import replace

from eft.domain.case import Case
from eft.domain.digests import RunningDigest
from eft.domain.errors import NotFound
from eft.domain.upload import SegmentFacts, Upload
from eft.storage.ports import SegmentId
from eft.transfers.cover import is_plain
from eft.transfers.resources import Resources


async def settle_segments(resources: Resources, upload: Upload, case: Case) -> tuple[Upload, RunningDigest | None]:
    """Closes the segments that a former writer left open; the epoch has been raised already. Returns the upload with its
    exact offset, and the digest's state there, where storage has it."""
    key = b"" if case.key_slot is None else await resources.run(resources.keys.case_key, case.key_slot, case.uid)
    ends: list[SegmentFacts] = []
    states: dict[int, bytes | None] = {}
    for facts in upload.segments:
        if facts.end is None:
            facts, states[facts.epoch] = await resources.run(_end_of, resources, case, facts, key, settle=True)
        ends.append(facts)
    settled = replace(upload, segments=tuple(ends), offset=max((facts.end or 0 for facts in ends), default=0))
    if not is_plain(ends):
        return settled, None
    last = next((facts for facts in reversed(ends) if facts.end != facts.start), None)
    if last is None:
        return settled, RunningDigest()
    if last.epoch not in states:
        _, states[last.epoch] = await resources.run(_end_of, resources, case, last, key, settle=False)
    exported = states[last.epoch]
    return settled, (RunningDigest.restore(exported) if exported is not None else None)


def _end_of(
    resources: Resources, case: Case, facts: SegmentFacts, key: bytes, *, settle: bool
) -> tuple[SegmentFacts, bytes | None]:
    """Where a segment ends, and the digest's state there. One whose file was never made is empty."""
    try:
        reader = resources.segments.open(
            SegmentId(case.uid, facts.file_upload_id, facts.file_epoch),
            key,
            settle=settle,
            end=None if facts.end is None else facts.end - facts.shift,
        )
    except NotFound:
        if facts.end is not None:
            raise
        return replace(facts, end=facts.start), None
    try:
        durable = reader.durable
    finally:
        reader.close()
    end = durable.end if facts.end is None else facts.end
    is_its_own = not facts.shift and durable.end == end
    return replace(facts, end=end), durable.digest if is_its_own else None
