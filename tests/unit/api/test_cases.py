from __future__ import annotations

from datetime import timedelta

import pytest

from eft.domain.case import RETENTION
from tests.unit.api.conftest import Caller, assert_problem

BODY = {"organisation": "Example", "subject": "Crash", "status": "open"}


async def test_putting_a_case_answers_201_then_200(caller: Caller) -> None:
    first = await caller.http.put("cases/C-1", json=BODY)
    again = await caller.http.put("cases/C-1", json=BODY)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == (await caller.http.get("cases/C-1")).json()
    assert first.json() == {
        "id": "C-1",
        "organisation": "Example",
        "subject": "Crash",
        "status": "open",
        "sub_status": None,
        "comment": "",
        "created_at": "2026-11-23T12:00:00Z",
        "closed_at": None,
        "purge_at": None,
        "hold_reason": None,
        "purge": "none",
        "purged_at": None,
    }


async def test_a_case_is_closed_and_reopened(caller: Caller) -> None:
    await caller.open_case()
    closed = await caller.close_case()
    assert (closed["status"], closed["sub_status"]) == ("closed", "resolved")
    assert (closed["closed_at"], closed["purge_at"]) == ("2026-11-23T12:00:00Z", "2026-12-23T12:00:00Z")
    assert await caller.close_case(sub_status="cancelled") == closed
    reopened = await caller.http.post("cases/C-1/reopen", json={"reason": "again", "actor": "customer"})
    assert reopened.status_code == 200
    assert (reopened.json()["status"], reopened.json()["purge_at"]) == ("open", None)


async def test_a_customer_too_late_is_told_so_and_staff_may(caller: Caller) -> None:
    await caller.open_case()
    await caller.close_case()
    caller.services.clock.advance(RETENTION)
    refused = await caller.http.post("cases/C-1/reopen", json={"reason": "again", "actor": "customer"})
    assert_problem(refused, 403, "reopen-too-late")
    assert (await caller.http.post("cases/C-1/reopen", json={"reason": "again", "actor": "staff"})).status_code == 200


async def test_a_case_closed_for_want_of_an_answer_is_reopened_by_telephone(caller: Caller) -> None:
    await caller.open_case()
    await caller.close_case(sub_status="no_response")
    refused = await caller.http.post("cases/C-1/reopen", json={"reason": "again", "actor": "customer"})
    assert_problem(refused, 403, "reopen-by-telephone")


async def test_closing_times_that_cannot_be(caller: Caller) -> None:
    now = caller.services.clock.now()
    closed = {**BODY, "status": "closed"}
    future = {**closed, "closed_at": (now + timedelta(seconds=1)).isoformat()}
    assert_problem(await caller.http.put("cases/C-1", json=future), 422, "invalid-request")
    past = {**closed, "closed_at": (now - timedelta(days=1)).isoformat()}
    assert (await caller.http.put("cases/C-1", json=past)).status_code == 201
    assert (await caller.http.put("cases/C-1", json=past)).status_code == 200
    assert (await caller.http.put("cases/C-1", json=closed)).status_code == 200
    other = {**closed, "closed_at": now.isoformat()}
    assert_problem(await caller.http.put("cases/C-1", json=other), 409, "closed-differently")
    assert_problem(await caller.http.put("cases/C-2", json={**BODY, "closed_at": now.isoformat()}), 422, "invalid-request")


async def test_a_hold_is_put_and_released(caller: Caller) -> None:
    await caller.open_case()
    held = await caller.http.put("cases/C-1/hold", json={"reason": "litigation"})
    assert (held.status_code, held.json()["hold_reason"]) == (200, "litigation")
    assert (await caller.http.delete("cases/C-1/hold")).status_code == 204
    assert (await caller.http.get("cases/C-1")).json()["hold_reason"] is None


async def test_cases_come_in_pages(caller: Caller) -> None:
    for number in range(5):
        caller.services.clock.advance(timedelta(seconds=1))
        await caller.open_case(f"C-{number}")
    first = (await caller.http.get("cases", params={"limit": 2})).json()
    second = (await caller.http.get("cases", params={"limit": 2, "cursor": first["next"]})).json()
    third = (await caller.http.get("cases", params={"limit": 2, "cursor": second["next"]})).json()
    found = [case["id"] for page in (first, second, third) for case in page["items"]]
    assert found == ["C-4", "C-3", "C-2", "C-1", "C-0"]
    assert third["next"] is None


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("cursor=%00", None)]
)
async def test_a_page_that_cannot_be_is_refused(caller: Caller, query: str, field: str | None) -> None:
    problem = assert_problem(await caller.http.get(f"cases?{query}"), 422, "invalid-request")
    assert problem.get("field") == field


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({**BODY, "organization": "x"}, "organization", "did you mean organisation?"),
        ({**BODY, "closedAt": "x"}, "closedAt", "did you mean closed_at?"),
        ({**BODY, "zzz": 1}, "zzz", "the known ones are organisation, subject, status, closed_at"),
        ({"organisation": "x", "status": "open"}, "subject", "required"),
        ({**BODY, "status": "shut"}, "status", "open"),
        ({**BODY, "status": "closed", "closed_at": "2026-11-23T12:00:00"}, "closed_at", "timezone"),
        ({**BODY, "status": "closed", "closed_at": 1795435200}, "closed_at", "2026-11-23T06:40:00Z"),
        ({**BODY, "subject": 7}, "subject", "string"),
        ({**BODY, "subject": "a\0b"}, "subject", "NUL"),
        ({**BODY, "organisation": ""}, "organisation", "at least 1"),
    ],
)
async def test_a_wrong_field_is_named(caller: Caller, body: dict[str, object], field: str, words: str) -> None:
    problem = assert_problem(await caller.http.put("cases/C-1", json=body), 422, "invalid-request")
    assert problem["field"] == field
    assert words in problem["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"subject": "\\ud800"}'])
async def test_a_body_that_is_no_object_is_refused(caller: Caller, content: bytes) -> None:
    answer = await caller.http.put("cases/C-1", content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid-request")


async def test_a_body_that_is_not_declared_as_json_is_refused(caller: Caller) -> None:
    answer = await caller.http.put("cases/C-1", content=b"{}", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert_problem(answer, 415, "unsupported-media-type")


async def test_a_body_is_bounded_declared_or_not(caller: Caller) -> None:
    huge = b'{"organisation": "' + b"x" * 70_000 + b'"}'

    async def chunks():  # type: ignore[no-untyped-def]
        for _ in range(70):
            yield b" " * 1000

    headers = {"Content-Type": "application/json"}
    for content in (huge, chunks()):
        problem = assert_problem(await caller.http.put("cases/C-1", content=content, headers=headers), 413, "too-large")
        assert problem["limit"] == 65536


@pytest.mark.parametrize("case_id", ["a" * 65, "a b", "%C3%A4", "a%00", "a:b"])
async def test_a_case_id_has_plain_characters(caller: Caller, case_id: str) -> None:
    assert_problem(await caller.http.put(f"cases/{case_id}", json=BODY), 422, "invalid-request")
    assert_problem(await caller.http.get(f"cases/{case_id}"), 422, "invalid-request")


async def test_what_is_not_there_is_a_problem_too(caller: Caller) -> None:
    assert_problem(await caller.http.get("nothing"), 404, "not-found")
    assert_problem(await caller.http.get("cases/C-404"), 404, "not-found")
    assert_problem(await caller.http.get("cases/C-1/lunch"), 404, "not-found")
    answer = await caller.http.patch("cases/C-1")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, PUT"


async def test_the_description_is_openapi_3_1_and_needs_no_token(caller: Caller) -> None:
    answer = await caller.http.get("openapi.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    described = answer.json()
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == {
        "/api/v1/cases",
        "/api/v1/cases/{case_id}",
        "/api/v1/cases/{case_id}/close",
        "/api/v1/cases/{case_id}/reopen",
        "/api/v1/cases/{case_id}/hold",
        "/api/v1/cases/{case_id}/upload-tokens",
        "/api/v1/cases/{case_id}/launch",
        "/api/v1/cases/{case_id}/sftp-account",
        "/api/v1/cases/{case_id}/sftp-account/keys",
        "/api/v1/cases/{case_id}/sftp-account/keys/{key_id}",
        "/api/v1/cases/{case_id}/attachments",
        "/api/v1/cases/{case_id}/attachments.zip",
        "/api/v1/cases/{case_id}/uploads",
        "/api/v1/attachments/{attachment_id}",
        "/api/v1/attachments/{attachment_id}/content",
        "/api/v1/attachments/{attachment_id}/receipt",
    }
    for path in described["paths"].values():
        for call in path.values():
            assert call["security"] == [{"HTTPBearer": []}]
            for status in ("default", "401", "403", "422", "500"):
                content = call["responses"][status]["content"]
                assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


async def test_a_failure_that_nobody_foresaw_tells_nothing_of_the_inside(caller: Caller) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    caller.services.cases.get = fails  # type: ignore[method-assign,assignment]
    answer = await caller.http.get("cases/C-1")
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
