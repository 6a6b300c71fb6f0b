"""Small writes are stored as fewer, larger pieces: the same bytes in the same order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from eft.transfers.intent import join_small


@given(st.lists(st.sampled_from([1, 5, 4096, 8192, 16_384, 40_000]), max_size=60))
def test_joining_keeps_the_bytes_and_leaves_no_small_neighbours(sizes: list[int]) -> None:
    parts: list[bytes | memoryview] = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    whole = b"".join(parts)
    join_small(parts)
    assert b"".join(parts) == whole
    assert all(len(one) >= 16_384 or len(other) >= 16_384 for one, other in pairwise(parts))
