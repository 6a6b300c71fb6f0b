"""What is said of a file that is given out: ranges, conditions, its digest and its name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.downloads import NotGiven, Plan, content_disposition, etag, plan_download
from eft.domain.ranges import Unsatisfiable, wanted_range
from eft.domain.upload import Completeness, Source

FILE = Attachment(
    id="0" * 32,
    case_id="C-1",
    name="logs/trace.html",
    size=100,
    sha256=sha256(b"x").hexdigest(),
    source=Source.HTTPS,
    completeness=Completeness.DECLARED,
    state=AttachmentState.AVAILABLE,
    received_at=datetime(2026, 11, 23, 12, 0, 0, 750_000, UTC),
)
TAG = etag(FILE.sha256)
AT = "Mon, 23 Nov 2026 12:00:00 GMT"
BEFORE = "Mon, 23 Nov 2026 11:59:59 GMT"


def planned(fields: Mapping[str, str], method: str = "GET") -> Plan:
    return plan_download(method, fields.get, FILE)


def refused(fields: Mapping[str, str], method: str = "GET") -> NotGiven:
    with pytest.raises(NotGiven) as told:
        planned(fields, method)
    return told.value


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=0-" + "9" * 30, (0, 100)),
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
        ("bytes=0-" + "9" * 5000, None),
    ],
)
def test_one_range_is_served_and_anything_else_is_the_whole_file(header: str | None, expected: tuple[int, int] | None) -> None:
    assert wanted_range(header, 100) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=10-11", 10), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_a_range_outside_the_file_cannot_be_served(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_range(header, size)


def test_a_whole_file_is_told_with_its_digest_and_never_to_be_shown_or_kept() -> None:
    plan = planned({})
    headers = dict(plan.headers)
    assert (plan.status, plan.start, plan.stop, plan.span) == (200, 0, 100, None)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith('attachment; filename="trace.html"')
    assert headers["ETag"] == f'"sha256-{FILE.sha256}"'
    assert headers["Last-Modified"] == AT
    assert headers["Repr-Digest"].startswith("sha-256=:LXEWQr")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in headers["Cache-Control"]
    assert "sandbox" in headers["Content-Security-Policy"]


def test_a_range_carries_the_digest_of_the_whole() -> None:
    plan = planned({"Range": "bytes=10-19"})
    assert (plan.status, plan.start, plan.stop, plan.span) == (206, 10, 20, "bytes 10-19/100")
    assert dict(plan.headers)["Content-Range"] == "bytes 10-19/100"
    assert dict(plan.headers)["Repr-Digest"] == dict(planned({}).headers)["Repr-Digest"]


def test_a_range_outside_is_refused_with_the_size() -> None:
    told = refused({"Range": "bytes=100-"})
    assert (told.status, told.code, told.headers) == (416, "range-not-satisfiable", {"Content-Range": "bytes */100"})


def test_head_knows_no_ranges() -> None:
    assert planned({"Range": "bytes=0-0"}, "HEAD").status == 200
    assert planned({"Range": "bytes=100-"}, "HEAD").status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"If-Match": TAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f'"a,b", {TAG}'}, 200),
        ({"If-Match": f"W/{TAG}"}, 412),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "nonsense"}, 412),
        ({"If-Unmodified-Since": AT}, 200),
        ({"If-Unmodified-Since": BEFORE}, 412),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-Match": TAG, "If-Unmodified-Since": BEFORE}, 200),
        ({"If-None-Match": TAG}, 304),
        ({"If-None-Match": f'"a,b" , W/{TAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": f'"{TAG}'}, 200),
        ({"If-Modified-Since": AT}, 304),
        ({"If-Modified-Since": BEFORE}, 200),
        ({"If-Modified-Since": "Mon, 99 Nov 2026 12:00:00 GMT"}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": AT}, 200),
        ({"If-Match": '"other"', "If-None-Match": TAG}, 412),
        ({"If-Match": '"other"', "Range": "bytes=100-"}, 412),
        ({"If-None-Match": TAG, "Range": "bytes=100-"}, 304),
        ({"Range": "bytes=0-0", "If-Range": TAG}, 206),
        ({"Range": "bytes=0-0", "If-Range": AT}, 206),
        ({"Range": "bytes=0-0", "If-Range": BEFORE}, 200),
        ({"Range": "bytes=0-0", "If-Range": f"W/{TAG}"}, 200),
        ({"Range": "bytes=100-", "If-Range": '"other"'}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_count_in_the_order_of_the_standard(fields: dict[str, str], status: int, method: str) -> None:
    if status == 412:
        assert refused(fields, method).code == "precondition-failed"
    else:
        assert planned(fields, method).status == (200 if method == "HEAD" and status == 206 else status)


def test_what_is_not_modified_is_told_by_its_tag_alone() -> None:
    headers = dict(planned({"If-None-Match": TAG}).headers)
    assert headers["ETag"] == TAG
    assert not {"Content-Type", "Content-Disposition", "Repr-Digest"} & set(headers)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("sha-256=10", True),
        ("sha-512=3, sha-256=1", True),
        ("sha-512=9", True),
        ("sha-256=0", False),
        ("sha-512=1,sha-256=0", False),
    ],
)
def test_the_digest_is_left_out_only_where_it_is_not_wanted(wish: str, told: bool) -> None:
    assert ("Repr-Digest" in dict(planned({"Want-Repr-Digest": wish}).headers)) is told


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logs/a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ('q"u\\o%.txt', "attachment; filename=\"q_u_o_.txt\"; filename*=UTF-8''q%22u%5Co%25.txt"),
        ("日本.log", "attachment; filename=\"__.log\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.log"),
        ("a;b.html", "attachment; filename=\"a;b.html\"; filename*=UTF-8''a%3Bb.html"),
    ],
)
def test_a_download_keeps_its_name(name: str, expected: str) -> None:
    assert content_disposition(name) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives_in_a_header_and_cannot_leave_it(name: str) -> None:
    value = content_disposition(name)
    quoted = value.partition("filename*=UTF-8''")[2]
    assert unquote(quoted) == name.rsplit("/", 1)[-1]
    assert value.isascii()
    assert value.isprintable()
    assert value.startswith('attachment; filename="')
    assert value.count('"') == 2
