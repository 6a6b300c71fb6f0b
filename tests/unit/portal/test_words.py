"""Sizes, times and spans, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eft.portal import words


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
)
def test_a_size_is_short(count: int, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(hours=120), "5 days 0 hours"),
        (timedelta(days=1, hours=1, minutes=59), "1 day 1 hour"),
        (timedelta(minutes=61), "1 hour 1 minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=-5), "less than a minute"),
    ],
)
def test_the_time_left_has_two_units(span: timedelta, text: str) -> None:
    assert words.left(span) == text


def test_a_time_is_in_utc_for_people_and_exact_for_programs() -> None:
    shown = str(words.at(datetime(2026, 11, 23, 9, 5, 0, 123456, tzinfo=UTC)))
    assert shown == '<time datetime="2026-11-23T09:05:00.123456Z">23 Nov 2026, 09:05 UTC</time>'
    assert words.at("2026-11-23T10:05:00+01:00") == words.at("2026-11-23T09:05:00Z")
