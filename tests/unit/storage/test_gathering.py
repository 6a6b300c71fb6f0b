"""Small pieces are hashed and sealed as fewer, larger ones: the same bytes in the same order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from eft.transfers.gathering import LARGE, gathered
from eft.transfers.intent import BATCH

SIZES = [0, 1, 5, 4096, 16_384, 40_000, LARGE - 1, LARGE, 300_000, BATCH + 1]


@given(st.lists(st.sampled_from(SIZES), max_size=60))
def test_gathering_keeps_the_bytes_and_leaves_few_pieces(sizes: list[int]) -> None:
    parts: list[bytes | memoryview] = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    whole = b"".join(parts)
    seen = [b"".join(group) for group in gathered(parts)]
    assert b"".join(seen) == whole
    assert not parts
    assert all(len(one) + len(other) >= LARGE for one, other in pairwise(seen))


def test_what_is_large_or_alone_is_not_copied() -> None:
    large, alone = bytes(LARGE), b"alone"
    pieces = [piece for group in gathered([large, large, alone]) for piece in group]
    assert [piece is given for piece, given in zip(pieces, [large, large, alone], strict=True)] == [True, True, True]
