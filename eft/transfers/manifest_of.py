"""From the segments that the database knows to the sealed manifest of a finished file."""

from __future__ import annotations

from collections.abc import Sequence

from eft.domain.errors import Tampered
from eft.domain.upload import SegmentFacts
from eft.storage.manifest import Manifest, Piece
from eft.transfers.cover import cover


def manifest_of(upload_id: str, segments: Sequence[SegmentFacts], size: int, sha256: str) -> Manifest:
    """The manifest over `segments`, which must cover `[0, size)` without a gap. Raises Tampered where they do not."""
    position = 0
    kept: list[Piece] = []
    for segment in cover(segments):
        if segment.end is None or segment.start != position:
            raise Tampered
        kept.append(Piece(segment.file_upload_id, segment.file_epoch, segment.start, segment.end, segment.shift))
        position = segment.end
    if position != size:
        raise Tampered
    return Manifest(upload=upload_id, segments=tuple(kept), size=size, sha256=sha256)
