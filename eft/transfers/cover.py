"""Which segment has which byte: where two have the same, the later one counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from eft.domain.upload import SegmentFacts


def is_plain(segments: Iterable[SegmentFacts]) -> bool:
    """Whether each segment begins where the one before it ends: then every byte was written once, in order, for this file."""
    position = 0
    for facts in segments:
        if facts.start != position or facts.end is None or facts.shift:
            return False
        position = facts.end
    return True


def cover(segments: Sequence[SegmentFacts]) -> tuple[SegmentFacts, ...]:
    """`segments`, in the order in which they were written, as pieces in the order of their bytes that do not overlap.

    A piece is its segment cut to `[start, end)`; one segment may give several. Empty ones give none; one that is still open
    (`end` None) is taken for empty.
    """
    pieces: list[SegmentFacts] = []
    for facts in segments:
        if facts.end is None or facts.end <= facts.start:
            continue
        if not pieces or facts.start >= (pieces[-1].end or 0):
            pieces.append(facts)
            continue
        left: list[SegmentFacts] = []
        for piece in pieces:
            assert piece.end is not None
            if piece.start < facts.start:
                left.append(replace(piece, end=min(piece.end, facts.start)))
            if piece.end > facts.end:
                left.append(replace(piece, start=max(piece.start, facts.end)))
        pieces = sorted([*left, facts], key=lambda piece: piece.start)
    return tuple(pieces)
