from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from eft.api.intake import declared_digest, declared_length
from eft.db import attachments
from eft.domain.attachment import AttachmentState
from eft.domain.case import RETENTION
from eft.domain.errors import DigestInvalid, LengthInvalid
from eft.domain.upload import Source
from eft.retention.purge import Purge
from tests.unit.api.conftest import Caller, assert_problem

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def repr_digest(content: bytes) -> str:
    return f"sha-256=:{b64encode(sha256(content).digest()).decode()}:"


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def purge(caller: Caller) -> None:
    async def at_once(_: float) -> None:
        return

    services = caller.services
    services.clock.advance(RETENTION)
    run = Purge(database=services.database, keys=services.keys, segments=services.segments, clock=services.clock, sleep=at_once)
    assert (await run.run_due()).purged == ["C-1"]


@pytest.mark.parametrize("content", [b"", b"x", b"s" * 32_768, b"s" * 32_769, b"b" * 65_535, b"b" * 65_537, CONTENT])
async def test_a_file_handed_back_comes_out_byte_for_byte(caller: Caller, content: bytes) -> None:
    await caller.open_case()
    made = await caller.hand_back(content, "patches/fix 7.bin")
    assert made == {
        "id": made["id"],
        "case_id": "C-1",
        "name": "patches/fix 7.bin",
        "size": len(content),
        "sha256": sha256(content).hexdigest(),
        "source": "support",
        "completeness": "declared",
        "state": "available",
        "received_at": "2026-11-23T12:00:00Z",
        "purge_at": None,
        "gone_at": None,
        "disputed_sha256": None,
        "superseded": False,
    }
    answer = await caller.http.get(f"attachments/{made['id']}/content")
    assert (answer.status_code, answer.content) == (200, content)
    assert (await caller.http.get("cases/C-1/attachments")).json() == {"items": [made], "next": None}
    assert (await caller.http.get(f"attachments/{made['id']}")).json() == made


async def test_a_body_of_unknown_length_is_whole_when_it_ends(caller: Caller) -> None:
    await caller.open_case()
    answer = await caller.http.post("cases/C-1/attachments?name=x", content=pieces(CONTENT))
    assert (answer.status_code, answer.json()["completeness"]) == (201, "closed")
    headers = {"Repr-Digest": repr_digest(CONTENT)}
    answer = await caller.http.post("cases/C-1/attachments?name=x", content=pieces(CONTENT), headers=headers)
    assert (answer.status_code, answer.json()["completeness"]) == (201, "declared")


async def test_a_digest_that_does_not_match_refuses_the_file_and_tells_both(caller: Caller) -> None:
    await caller.open_case()
    headers = {"Repr-Digest": repr_digest(b"other")}
    problem = assert_problem(
        await caller.http.post("cases/C-1/attachments?name=x", content=CONTENT, headers=headers), 422, "digest-mismatch"
    )
    assert (problem["declared"], problem["received"]) == (sha256(b"other").hexdigest(), sha256(CONTENT).hexdigest())
    assert (await caller.http.get("cases/C-1/attachments")).json()["items"] == []
    (refused,) = (await caller.http.get("cases/C-1/uploads")).json()["items"]
    assert (refused["state"], refused["source"]) == ("refused", "support")


async def test_a_body_that_breaks_off_leaves_nothing_behind(caller: Caller) -> None:
    await caller.open_case()
    length = len(CONTENT) * 3
    messages: list[Any] = [{"type": "http.request", "body": CONTENT, "more_body": True}] * 2 + [{"type": "http.disconnect"}]

    async def receive() -> Any:
        await asyncio.sleep(0.05)
        return messages.pop(0)

    async def send(_: Any) -> None:
        return

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/v1/cases/C-1/attachments",
        "raw_path": b"/api/v1/cases/C-1/attachments",
        "root_path": "",
        "scheme": "https",
        "query_string": b"name=x",
        "headers": [(b"authorization", b"Bearer " + caller.token.encode()), (b"content-length", str(length).encode())],
        "client": None,
    }
    await caller.app(scope, receive, send)
    assert (await caller.http.get("cases/C-1/attachments")).json()["items"] == []
    assert (await caller.http.get("cases/C-1/uploads")).json()["items"] == []
    assert list(caller.services.directory.rglob("*.seg")) == []


async def test_a_closed_case_takes_no_file(caller: Caller) -> None:
    await caller.open_case()
    await caller.close_case()
    assert_problem(await caller.http.post("cases/C-1/attachments?name=x", content=b"x"), 403, "case-closed")
    assert_problem(await caller.http.post("cases/C-404/attachments?name=x", content=b"x"), 404, "not-found")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid-request"),
        ("name=a&name=b", "invalid-request"),
        ("name=", "name-not-allowed"),
        ("name=..%2Fx", "name-not-allowed"),
        ("name=a%00b", "name-not-allowed"),
        ("name=%2Fetc%2Fpasswd", "name-not-allowed"),
        ("name=%ff", "name-not-allowed"),
        ("name=" + "a" * 300, "name-not-allowed"),
    ],
)
async def test_a_name_that_cannot_be_is_refused(caller: Caller, query: str, code: str) -> None:
    await caller.open_case()
    status = 400 if code == "name-not-allowed" else 422
    assert_problem(await caller.http.post(f"cases/C-1/attachments?{query}", content=b"x"), status, code)


@pytest.mark.parametrize("name", ["😀.log", "שלום.txt", "CON", "-rf", "a+b & c.txt", "日本/語.bin"])
async def test_a_name_is_kept_as_it_is(caller: Caller, name: str) -> None:
    await caller.open_case()
    assert (await caller.hand_back(b"x", name))["name"] == name


async def test_a_packed_body_is_not_unpacked(caller: Caller) -> None:
    await caller.open_case()
    answer = await caller.http.post("cases/C-1/attachments?name=x", content=b"x", headers={"Content-Encoding": "gzip"})
    assert_problem(answer, 422, "invalid-request")


async def test_a_download_says_what_it_is_and_is_never_shown(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(b"<script>", "page.html")
    for method in ("GET", "HEAD"):
        answer = await caller.http.request(method, f"attachments/{made['id']}/content")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-length"] == "8"
        assert answer.headers["etag"] == f'"sha256-{made["sha256"]}"'
        assert answer.headers["repr-digest"] == repr_digest(b"<script>")
        assert answer.content == (b"<script>" if method == "GET" else b"")


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=-1", len(CONTENT) - 1, len(CONTENT)),
        ("bytes=65530-131080", 65_530, 131_081),
        ("bytes=100-", 100, None),
    ],
)
async def test_a_range_comes_out_byte_for_byte(caller: Caller, wanted: str, start: int, stop: int | None) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT)
    answer = await caller.http.get(f"attachments/{made['id']}/content", headers={"Range": wanted})
    end = len(CONTENT) if stop is None else stop
    assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["repr-digest"] == repr_digest(CONTENT)


async def test_a_range_outside_the_file_is_a_problem_that_tells_the_size(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(b"four")
    answer = await caller.http.get(f"attachments/{made['id']}/content", headers={"Range": "bytes=4-"})
    assert_problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["content-range"] == "bytes */4"


async def test_a_download_goes_on_only_with_the_same_file(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT)
    url, tag = f"attachments/{made['id']}/content", f'"sha256-{made["sha256"]}"'
    same = await caller.http.get(url, headers={"Range": "bytes=1-2", "If-Range": tag})
    other = await caller.http.get(url, headers={"Range": "bytes=1-2", "If-Range": '"sha256-other"'})
    assert (same.status_code, other.status_code, len(other.content)) == (206, 200, len(CONTENT))
    unchanged = await caller.http.get(url, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert_problem(await caller.http.get(url, headers={"If-Match": '"x"'}), 412, "precondition-failed")


async def test_every_address_that_is_read_answers_head_as_it_answers_get(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT)
    of_case = ["cases", "cases/C-1", "cases/C-1/attachments", "cases/C-1/attachments.zip", "cases/C-1/uploads"]
    of_file = [f"attachments/{made['id']}{part}" for part in ("", "/receipt", "/content")]
    for path in (*of_case, *of_file):
        whole, head = await caller.http.get(path), await caller.http.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"") == (200, b""), path
        assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert (await caller.http.head("cases/C-404")).status_code == 404
    assert (await caller.http.head("cases/C-1/close")).status_code == 405


async def test_who_was_given_a_file_is_in_the_audit_log(caller: Caller) -> None:
    await caller.open_case()
    path = f"attachments/{(await caller.hand_back(CONTENT))['id']}/content"
    await caller.http.get(path, headers={"Eft-Actor": "ada@example.com"})
    await caller.http.get(path, headers={"Range": "bytes=0-9"})
    await caller.http.head(path)
    await caller.http.get(path, headers={"Range": f"bytes={len(CONTENT)}-"})
    entries = [entry for entry in await caller.services.audited("C-1") if entry.action == "attachment.download"]
    assert [(entry.actor, entry.detail) for entry in entries] == [
        ("ada@example.com (via token:portal)", {}),
        ("token:portal", {"range": f"bytes 0-9/{len(CONTENT)}"}),
    ]
    assert {(entry.subject, entry.address) for entry in entries} == {(path.split("/")[1], "192.0.2.50")}


async def test_a_digest_file_that_says_otherwise_shows_at_the_attachment(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT)
    await caller.services.database.write(lambda conn: attachments.dispute(conn, made["id"], "f" * 64))
    assert (await caller.http.get(f"attachments/{made['id']}")).json()["disputed_sha256"] == "f" * 64


async def test_a_deleted_attachment_stays_listed_and_is_gone(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT)
    assert (await caller.http.delete(f"attachments/{made['id']}")).status_code == 204
    (listed,) = (await caller.http.get("cases/C-1/attachments")).json()["items"]
    assert (listed["id"], listed["state"]) == (made["id"], "purged")
    assert listed["gone_at"] == "2026-11-23T12:00:00Z"
    for method, path in (("GET", ""), ("GET", "/content"), ("HEAD", "/content"), ("GET", "/receipt"), ("DELETE", "")):
        answer = await caller.http.request(method, f"attachments/{made['id']}{path}")
        assert answer.status_code == 410
    assert_problem(await caller.http.get(f"attachments/{made['id']}"), 410, "purged")


async def test_a_held_case_lets_no_attachment_be_deleted(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(b"x")
    await caller.http.put("cases/C-1/hold", json={"reason": "litigation"})
    assert_problem(await caller.http.delete(f"attachments/{made['id']}"), 409, "legal-hold")


async def test_after_the_purge_what_went_is_listed_with_its_time(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT)
    await caller.close_case()
    (listed,) = (await caller.http.get("cases/C-1/attachments")).json()["items"]
    assert (listed["state"], listed["purge_at"]) == ("available", "2026-12-23T12:00:00Z")
    await purge(caller)
    (listed,) = (await caller.http.get("cases/C-1/attachments")).json()["items"]
    assert (listed["name"], listed["state"], listed["gone_at"]) == ("fix.bin", "purged", "2026-12-23T12:00:00Z")
    for path in (f"attachments/{made['id']}", f"attachments/{made['id']}/content", f"attachments/{made['id']}/receipt"):
        assert assert_problem(await caller.http.get(path), 410, "purged")["at"] == "2026-12-23T12:00:00Z"
    assert assert_problem(await caller.http.get("cases/C-1/attachments.zip"), 410, "purged")["at"] == "2026-12-23T12:00:00Z"
    case = (await caller.http.get("cases/C-1")).json()
    assert (case["purge"], case["purged_at"]) == ("purged", "2026-12-23T12:00:00Z")


async def test_a_purge_cuts_a_download_that_runs(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(CONTENT * 4)
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        caller.services.clock.advance(timedelta(seconds=10))
        await caller.services.database.write(
            lambda conn: attachments.set_state(conn, made["id"], AttachmentState.TOMBSTONED, caller.services.clock.now())
        )

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    path = f"/api/v1/attachments/{made['id']}/content"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "https",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + caller.token.encode())],
        "client": None,
    }
    with pytest.raises(Exception, match="already started"):
        await caller.app(scope, receive, send)
    assert sent < made["size"]


async def test_unfinished_uploads_are_listed(caller: Caller) -> None:
    await caller.open_case()
    upload_id = await caller.services.begin("C-1", "dump.bin", b"d" * 100_000, 300_000)
    (listed,) = (await caller.http.get("cases/C-1/uploads")).json()["items"]
    assert listed == {
        "id": upload_id,
        "name": "dump.bin",
        "offset": 100_000,
        "length": 300_000,
        "state": "receiving",
        "source": "https",
        "expires_at": "2026-12-07T12:00:00Z",
    }
    await caller.close_case()
    assert (await caller.http.get("cases/C-1/uploads")).json()["items"][0]["state"] == "frozen"
    assert_problem(await caller.http.get("cases/C-404/uploads"), 404, "not-found")


async def test_unfinished_uploads_come_in_pages_newest_first(caller: Caller) -> None:
    await caller.open_case()
    for number in range(5):
        caller.services.clock.advance(timedelta(seconds=1))
        await caller.services.begin("C-1", f"{number}.log", b"x", 10)
    names: list[str] = []
    cursor: dict[str, str] = {}
    for count in (2, 2, 1):
        page = (await caller.http.get("cases/C-1/uploads", params={"limit": 2, **cursor})).json()
        assert len(page["items"]) == count
        names += [item["name"] for item in page["items"]]
        cursor = {"cursor": page["next"]}
    assert (names, page["next"]) == (["4.log", "3.log", "2.log", "1.log", "0.log"], None)
    assert_problem(await caller.http.get("cases/C-1/uploads?cursor=x"), 422, "invalid-request")


async def test_attachments_come_in_pages_newest_first(caller: Caller) -> None:
    await caller.open_case()
    for number in range(5):
        caller.services.clock.advance(timedelta(seconds=1))
        await caller.services.store("C-1", f"{number}.log", b"x", Source.HTTPS)
    first = (await caller.http.get("cases/C-1/attachments", params={"limit": 3})).json()
    second = (await caller.http.get("cases/C-1/attachments", params={"limit": 3, "cursor": first["next"]})).json()
    assert [item["name"] for item in first["items"] + second["items"]] == ["4.log", "3.log", "2.log", "1.log", "0.log"]
    assert second["next"] is None


@pytest.mark.parametrize("attachment_id", ["0" * 32, "x", "..%2F..", "a" * 200, "%00"])
async def test_an_unknown_attachment_is_not_found(caller: Caller, attachment_id: str) -> None:
    assert (await caller.http.get(f"attachments/{attachment_id}")).status_code == 404


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("sha-512=:AAAA:", None),
        (repr_digest(b"x"), sha256(b"x").hexdigest()),
        (f"sha-512=:AAAA:, {repr_digest(b'x')}", sha256(b"x").hexdigest()),
    ],
)
def test_a_declared_digest_is_understood(header: str | None, expected: str | None) -> None:
    assert declared_digest(header) == expected


@pytest.mark.parametrize("header", ["sha-256=abc", "sha-256=:AAAA:", "sha-256=:%%%:", "sha-256=:", "sha-256=" + "a" * 64])
def test_a_declared_digest_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(DigestInvalid):
        declared_digest(header)


@pytest.mark.parametrize("header", ["-1", "x", "1.5", "٣", "9" * 30])
def test_a_declared_length_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(LengthInvalid):
        declared_length(header)
