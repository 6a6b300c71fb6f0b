"""Receipts over the control API."""

from __future__ import annotations

import json

import jwt

from eft.domain.upload import Source
from tests.fixtures.services import STAFF
from tests.unit.api.conftest import Caller, assert_problem


async def test_every_attachment_has_a_receipt_whatever_it_came_by(caller: Caller) -> None:
    await caller.open_case()
    ids = [(await caller.hand_back(b"fix", "fix 1.bin"))["id"]]
    ids += [(await caller.services.store("C-1", name, b"x" * 100_000, Source(name))).id for name in ("https", "sftp")]
    keys = jwt.PyJWKSet.from_dict(await caller.services.receipts.published_keys())
    for each, source in zip(ids, ("support", "https", "sftp"), strict=True):
        answer = await caller.http.get(f"attachments/{each}/receipt")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jose")
        said = json.loads(jwt.PyJWS().decode(answer.text, keys.keys[0].key, algorithms=["EdDSA"]))
        assert (said["attachment"], said["source"]) == (each, source)
    assert "fix%201.bin.receipt" in (await caller.http.get(f"attachments/{ids[0]}/receipt")).headers["content-disposition"]


async def test_a_deleted_attachment_has_no_receipt(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(b"fix")
    assert (await caller.http.delete(f"attachments/{made['id']}")).status_code == 204
    assert_problem(await caller.http.get(f"attachments/{made['id']}/receipt"), 410, "purged")
    assert_problem(await caller.http.get("attachments/nothing/receipt"), 404, "not-found")


async def test_a_receipt_needs_the_scope_to_read_attachments(caller: Caller) -> None:
    await caller.open_case()
    made = await caller.hand_back(b"fix")
    token = await caller.services.tokens.issue_api("crm", ["cases:read"], STAFF)
    answer = await caller.http.get(f"attachments/{made['id']}/receipt", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 403, "scope-missing")
