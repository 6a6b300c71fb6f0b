"""Lists for IN have few lengths and leave nothing out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eft.db.in_lists import in_lists

LENGTHS = {1 << power for power in range(10)}


@given(st.lists(st.text(max_size=3)))
def test_every_value_is_in_one_list_and_nothing_else_is(values: list[str]) -> None:
    lists = list(in_lists(values))
    assert sorted({value for each in lists for value in each}) == sorted(set(values))
    assert sum(len(set(each)) for each in lists) == len(set(values))


def test_a_thousand_numbers_of_values_make_ten_lengths() -> None:
    assert {len(each) for count in range(1, 1025) for each in in_lists([f"{n:04}" for n in range(count)])} == LENGTHS


def test_no_values_make_no_list() -> None:
    assert list(in_lists([])) == []
