"""The control API, asked as its callers ask it, on a real database, disk and key store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from eft.accounts.tokens import Scope
from eft.api.app import create_api
from eft.api.guard import AsgiApp
from eft.api.services import ApiServices, ApiSettings
from tests.fixtures.services import STAFF, Services, running_services

SETTINGS = ApiSettings(
    sftp_host="eftgateway-us.example",
    sftp_port=2221,
    host_key_fingerprints=("SHA256:abc", "SHA256:def"),
    page_url="https://eftgateway-us.example:8441",
)


@dataclass
class Caller:
    """Somebody with a token that has every scope."""

    services: Services
    app: AsgiApp
    http: httpx.AsyncClient
    token: str

    async def open_case(self, case_id: str = "C-1") -> dict[str, Any]:
        body = {"organisation": "Example", "subject": "Crash", "status": "open"}
        answer = await self.http.put(f"cases/{case_id}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    async def close_case(self, case_id: str = "C-1", sub_status: str = "resolved") -> dict[str, Any]:
        answer = await self.http.post(f"cases/{case_id}/close", json={"sub_status": sub_status, "comment": "done"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def hand_back(self, content: bytes, name: str = "fix.bin", case_id: str = "C-1") -> dict[str, Any]:
        answer = await self.http.post(f"cases/{case_id}/attachments", params={"name": name}, content=content)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is this problem, with everything that a problem has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = dict(answer.json())
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:eft:problem:{code}"
    assert all(problem[member] for member in ("title", "detail", "remedy"))
    return problem


@pytest_asyncio.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    async with running_services(tmp_path) as services:
        app = create_api(
            ApiServices(
                cases=services.cases,
                accounts=services.accounts,
                tokens=services.tokens,
                transfers=services.transfers,
                launches=services.launches,
                receipts=services.receipts,
            ),
            SETTINGS,
        )
        token = await services.tokens.issue_api("portal", [scope.value for scope in Scope], STAFF)
        transport = httpx.ASGITransport(app=app, client=("192.0.2.50", 0))  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://gateway/api/v1/", headers=headers) as http:
            yield Caller(services, app, http, token)
