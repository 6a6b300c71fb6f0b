from __future__ import annotations

import pytest

from eft.api.download import content_disposition
from eft.api.ranges import Unsatisfiable, names_tag, range_still_holds, wanted_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("Bytes= 5-6 ", (5, 7)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
    ],
)
def test_one_range_is_served_and_nonsense_is_the_whole_file(header: str | None, expected: tuple[int, int] | None) -> None:
    assert wanted_range(header, 100) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_a_range_outside_the_file_cannot_be_served(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_range(header, size)


def test_a_range_holds_only_for_exactly_the_same_file() -> None:
    assert range_still_holds(None, '"a"', "date")
    assert range_still_holds('"a"', '"a"', "date")
    assert range_still_holds("date", '"a"', "date")
    assert not range_still_holds('"b"', '"a"', "date")
    assert not range_still_holds('W/"a"', '"a"', "date")


def test_tags_are_compared_strongly_or_weakly() -> None:
    assert names_tag('"x", W/"a"', '"a"', weak=True)
    assert not names_tag('W/"a"', '"a"', weak=False)
    assert names_tag("*", '"a"', weak=False)
    assert not names_tag(None, '"a"', weak=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logs/a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ('q"u\\o%.txt', "attachment; filename=\"q_u_o_.txt\"; filename*=UTF-8''q%22u%5Co%25.txt"),
        ("日本.log", "attachment; filename=\"__.log\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.log"),
        ("a;b.html", "attachment; filename=\"a;b.html\"; filename*=UTF-8''a%3Bb.html"),
    ],
)
def test_a_download_keeps_its_name_and_is_never_shown(name: str, expected: str) -> None:
    assert content_disposition(name) == expected
