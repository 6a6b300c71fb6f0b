"""Byte ranges, and file names in a header."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.http_resumable.content import byte_range, content_disposition
from eft.http_resumable.headers import encode
from eft.http_resumable.refusals import Refusal


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=2-", (2, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("Bytes= 1-2 ", (1, 3)),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=0-" + "9" * 30, None),
    ],
)
def test_a_range_is_understood_or_ignored(value: str, span: tuple[int, int] | None) -> None:
    assert byte_range(value, 10) == span


@pytest.mark.parametrize(("value", "size"), [("bytes=10-", 10), ("bytes=10-11", 10), ("bytes=-0", 10), ("bytes=0-0", 0)])
def test_a_range_outside_the_file_is_refused(value: str, size: int) -> None:
    with pytest.raises(Refusal) as refused:
        byte_range(value, size)
    assert refused.value.status == 416
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives_in_a_header_and_cannot_leave_it(name: str) -> None:
    value = content_disposition(name)
    encode([("Content-Disposition", value)])
    quoted = value.partition("filename*=UTF-8''")[2]
    assert unquote(quoted) == name.rsplit("/", 1)[-1]
    assert value.startswith('attachment; filename="')
    assert value.count('"') == 2
