from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
import ssl

from aiohttp import web
import pytest
import trustme

from eft.domain.errors import UnsafeSetting
from eft.domain.retention import CaseSystemAnswer
from eft.retention.case_system import HttpCaseSystem

CLOSED_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trust_in(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def case_system(authority: trustme.CA, handler: Handler, host: str = "localhost") -> AsyncIterator[str]:
    """A case system on loopback; its address."""
    app = web.Application()
    app.router.add_get("/api/cases/{case_id}", handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}/api/"
    finally:
        await runner.cleanup()


def answering(code: int = 200, /, **body: object) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code)

    return handler


async def test_it_asks_with_its_token_and_understands_the_answer(authority: trustme.CA) -> None:
    seen: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.match_info["case_id"], request.headers["Authorization"]))
        return web.json_response({"status": "closed", "closed_at": "2026-11-23T13:00:00+01:00", "more": 1})

    async with case_system(authority, handler) as url:
        answer = await HttpCaseSystem(url, "secret", trust=trust_in(authority)).ask("C-1.x_y")
    assert answer == CaseSystemAnswer("closed", CLOSED_AT)
    assert seen == [("C-1.x_y", "Bearer secret")]


async def test_an_open_case_has_no_closing_time(authority: trustme.CA) -> None:
    async with case_system(authority, answering(status="open", closed_at=None)) as url:
        assert await HttpCaseSystem(url, "", trust=trust_in(authority)).ask("C-1") == CaseSystemAnswer("open", None)


@pytest.mark.parametrize(
    "handler",
    [
        answering(404, status="closed", closed_at="2026-11-23T12:00:00Z"),
        answering(500),
        answering(closed_at="2026-11-23T12:00:00Z"),
        answering(status="closed", closed_at="2026-11-23T12:00:00"),
        answering(status="closed", closed_at="yesterday"),
        answering(status="closed", closed_at=1795435200),
        answering(status="closed", padding="x" * 100_000),
    ],
)
async def test_what_cannot_be_understood_is_no_answer(authority: trustme.CA, handler: Handler) -> None:
    async with case_system(authority, handler) as url:
        assert await HttpCaseSystem(url, "", trust=trust_in(authority)).ask("C-1") is None


async def test_a_redirect_is_not_followed(authority: trustme.CA) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("https://localhost/elsewhere")

    async with case_system(authority, handler) as url:
        assert await HttpCaseSystem(url, "", trust=trust_in(authority)).ask("C-1") is None


async def test_silence_is_no_answer(authority: trustme.CA) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.6)
        return web.json_response({"status": "closed", "closed_at": "2026-11-23T12:00:00Z"})

    async with case_system(authority, handler) as url:
        assert await HttpCaseSystem(url, "", trust=trust_in(authority), timeout_s=0.2).ask("C-1") is None


async def test_a_certificate_that_does_not_verify_is_no_answer(authority: trustme.CA) -> None:
    handler = answering(status="closed", closed_at="2026-11-23T12:00:00Z")
    async with case_system(authority, handler) as url:
        assert await HttpCaseSystem(url, "", trust=trust_in(trustme.CA())).ask("C-1") is None
    async with case_system(authority, handler, host="elsewhere.example") as url:
        assert await HttpCaseSystem(url, "", trust=trust_in(authority)).ask("C-1") is None


async def test_nobody_there_is_no_answer() -> None:
    assert await HttpCaseSystem("https://localhost:1/", "").ask("C-1") is None


@pytest.mark.parametrize("url", ["http://crm.example/", "https://", "crm.example", "ftp://localhost/"])
def test_an_address_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(UnsafeSetting):
        HttpCaseSystem(url, "")
