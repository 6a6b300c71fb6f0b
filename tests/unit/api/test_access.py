from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from eft.accounts.tokens import Scope
from eft.domain.account import LIFETIME
from tests.fixtures.services import STAFF
from tests.unit.api.conftest import Caller, assert_problem


async def test_without_a_token_nothing_is_said(caller: Caller) -> None:
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Basic eA=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x"},
    ):
        caller.http.headers.pop("Authorization", None)
        answer = await caller.http.get("cases", headers=headers)
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="eft"'


async def test_two_tokens_are_none(caller: Caller) -> None:
    headers = [("Authorization", f"Bearer {caller.token}")] * 2
    caller.http.headers.pop("Authorization")
    assert_problem(await caller.http.get("cases", headers=headers), 401, "unauthenticated")


async def test_a_revoked_token_is_refused(caller: Caller) -> None:
    await caller.services.tokens.revoke_api("portal", STAFF)
    assert_problem(await caller.http.get("cases"), 401, "unauthenticated")


async def test_another_regions_token_is_sent_there_before_its_body_is_read(caller: Caller) -> None:
    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/api/v1/cases/C-1",
        "raw_path": b"/api/v1/cases/C-1",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer eft_emea_api_" + b"a" * 43), (b"content-length", b"999999999")],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    await caller.app(scope, receive, send)
    answer = httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])
    problem = assert_problem(answer, 421, "wrong-region")
    assert (problem["region"], problem["url"]) == ("emea", "https://eftgateway-emea.example:8442")


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC3p9K6PIVeDPoG4szLLweg9NsbOr633YJtEdC5R9no"
CALLS = [
    ("GET", "cases", Scope.CASES_READ),
    ("GET", "cases/C-1", Scope.CASES_READ),
    ("PUT", "cases/C-1", Scope.CASES_WRITE),
    ("POST", "cases/C-1/close", Scope.CASES_WRITE),
    ("POST", "cases/C-1/reopen", Scope.CASES_WRITE),
    ("PUT", "cases/C-1/hold", Scope.RETENTION_WRITE),
    ("DELETE", "cases/C-1/hold", Scope.RETENTION_WRITE),
    ("POST", "cases/C-1/upload-tokens", Scope.TOKENS_WRITE),
    ("POST", "cases/C-1/sftp-account", Scope.ACCOUNTS_WRITE),
    ("GET", "cases/C-1/sftp-account", Scope.ACCOUNTS_READ),
    ("DELETE", "cases/C-1/sftp-account", Scope.ACCOUNTS_WRITE),
    ("POST", "cases/C-1/sftp-account/keys", Scope.ACCOUNTS_WRITE),
    ("GET", "cases/C-1/sftp-account/keys", Scope.ACCOUNTS_READ),
    ("DELETE", "cases/C-1/sftp-account/keys/" + "0" * 32, Scope.ACCOUNTS_WRITE),
    ("GET", "cases/C-1/attachments", Scope.ATTACHMENTS_READ),
    ("POST", "cases/C-1/attachments?name=x", Scope.ATTACHMENTS_WRITE),
    ("GET", "cases/C-1/uploads", Scope.ATTACHMENTS_READ),
    ("GET", "attachments/" + "0" * 32, Scope.ATTACHMENTS_READ),
    ("GET", "attachments/" + "0" * 32 + "/content", Scope.ATTACHMENTS_READ),
    ("DELETE", "attachments/" + "0" * 32, Scope.ATTACHMENTS_WRITE),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS, ids=lambda value: str(value))
async def test_each_call_needs_its_scope_and_no_other(caller: Caller, method: str, path: str, scope: Scope) -> None:
    await caller.open_case()
    others = [other.value for other in Scope if other is not scope]
    poor = await caller.services.tokens.issue_api("poor", others, STAFF)
    fit = await caller.services.tokens.issue_api("fit", [scope.value], STAFF)
    refused = await caller.http.request(method, path, headers={"Authorization": f"Bearer {poor}"})
    assert assert_problem(refused, 403, "scope-missing")["scope"] == scope.value
    allowed = await caller.http.request(method, path, headers={"Authorization": f"Bearer {fit}"})
    assert allowed.status_code not in (401, 403)


async def test_an_upload_token_is_not_for_the_api(caller: Caller) -> None:
    await caller.open_case()
    answer = await caller.http.post("cases/C-1/upload-tokens")
    token = answer.json()["token"]
    assert_problem(await caller.http.get("cases/C-1", headers={"Authorization": f"Bearer {token}"}), 403, "scope-missing")


async def test_an_upload_token_is_for_24_hours_unless_said_otherwise(caller: Caller) -> None:
    await caller.open_case()
    answer = await caller.http.post("cases/C-1/upload-tokens")
    assert answer.status_code == 201
    assert set(answer.json()) == {"token", "expires_at"}
    assert answer.json()["expires_at"] == "2026-11-24T12:00:00Z"
    answer = await caller.http.post("cases/C-1/upload-tokens", json={"ttl_s": 604800, "source": "support"})
    assert answer.json()["expires_at"] == "2026-11-30T12:00:00Z"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("body", [{"ttl_s": 604801}, {"ttl_s": 0}, {"ttl_s": "60"}, {"ttl_s": 1.5}, {"source": "sftp"}])
async def test_an_upload_token_with_a_wrong_wish_is_refused(caller: Caller, body: dict[str, object]) -> None:
    await caller.open_case()
    problem = assert_problem(await caller.http.post("cases/C-1/upload-tokens", json=body), 422, "invalid-request")
    assert problem["field"] == next(iter(body))


async def test_an_account_is_created_shown_and_ended(caller: Caller) -> None:
    await caller.open_case()
    assert_problem(await caller.http.get("cases/C-1/sftp-account"), 404, "not-found")
    created = await caller.http.post("cases/C-1/sftp-account")
    assert created.status_code == 201
    account = created.json()
    assert set(account) == {"username", "password", "host", "port", "host_key_fingerprints", "expires_at"}
    assert (account["host"], account["port"]) == ("eftgateway-us.example", 2221)
    assert account["host_key_fingerprints"] == ["SHA256:abc", "SHA256:def"]
    assert account["expires_at"] == "2026-11-28T12:00:00Z"
    assert (await caller.http.get("cases/C-1/sftp-account")).json() == account
    assert (await caller.http.delete("cases/C-1/sftp-account")).status_code == 204
    assert (await caller.http.delete("cases/C-1/sftp-account")).status_code == 204
    assert_problem(await caller.http.get("cases/C-1/sftp-account"), 404, "not-found")


async def test_a_public_key_is_registered_listed_and_removed(caller: Caller) -> None:
    await caller.open_case()
    path, body = "cases/C-1/sftp-account/keys", {"public_key": f"{PUBLIC_KEY} laptop\n"}
    assert_problem(await caller.http.get(path), 404, "not-found")
    assert_problem(await caller.http.post(path, json=body), 404, "not-found")
    await caller.http.post("cases/C-1/sftp-account")
    assert (await caller.http.get(path)).json() == {"items": [], "next": None}
    added = await caller.http.post(path, json=body, headers={"Eft-Actor": "ann@example.com"})
    assert added.status_code == 201
    key = added.json()
    identifier = key.pop("id")
    assert key == {
        "type": "ssh-ed25519",
        "bits": 256,
        "fingerprint": "SHA256:yVoCRG8sDUP8Tqw2lQw4Kz1vNd6waRKRtMwcmTef4bg",
        "comment": "laptop",
        "added_at": "2026-11-23T12:00:00Z",
        "added_by": "ann@example.com (via token:portal)",
    }
    again = await caller.http.post(path, json=body)
    assert (again.status_code, again.json()) == (200, {"id": identifier, **key})
    assert (await caller.http.get(path)).json()["items"] == [{"id": identifier, **key}]
    assert (await caller.http.delete(f"{path}/{identifier}")).status_code == 204
    assert_problem(await caller.http.delete(f"{path}/{identifier}"), 404, "not-found")
    assert (await caller.http.get(path)).json()["items"] == []


@pytest.mark.parametrize("text", ["", "ssh-dss AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0", "PUBLIC x"])
async def test_what_is_no_public_key_is_refused_with_what_to_do(caller: Caller, text: str) -> None:
    await caller.open_case()
    await caller.http.post("cases/C-1/sftp-account")
    answer = await caller.http.post("cases/C-1/sftp-account/keys", json={"public_key": text})
    assert_problem(answer, 422, "public-key-invalid")
    assert "c2VjcmV0" not in answer.text


async def test_at_120_hours_the_password_is_no_longer_shown(caller: Caller) -> None:
    await caller.open_case()
    await caller.http.post("cases/C-1/sftp-account")
    caller.services.clock.advance(LIFETIME - timedelta(seconds=1))
    assert (await caller.http.get("cases/C-1/sftp-account")).status_code == 200
    caller.services.clock.advance(timedelta(seconds=1))
    assert_problem(await caller.http.get("cases/C-1/sftp-account"), 404, "not-found")


async def test_a_closed_case_gets_neither_account_nor_token(caller: Caller) -> None:
    await caller.open_case()
    await caller.close_case()
    assert_problem(await caller.http.post("cases/C-1/sftp-account"), 403, "case-closed")
    assert_problem(await caller.http.post("cases/C-1/upload-tokens"), 403, "case-closed")


async def test_a_reveal_is_audited_with_who_and_from_where(caller: Caller) -> None:
    await caller.open_case()
    await caller.http.post("cases/C-1/sftp-account")
    await caller.http.get("cases/C-1/sftp-account")
    record = (await caller.services.audited("C-1"))[-1]
    assert (record.action, record.actor, record.address) == ("account.reveal", "token:portal", "192.0.2.50")
