"""A download through the portal, from a gateway whose connections break: over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
import random

import httpx
import pytest

from eft.portal import content, gateways
from eft.portal.content import Broken
from eft.portal.gateways import Gateway, GatewayDown, GatewayRefused
from eft.portal.settings import GatewaySettings
from tests.unit.portal.fake_gateway import secret

FILE = random.Random(1).randbytes(1_000_000)
TAG = '"sha256-one"'
GONE = b'{"status": 410, "code": "purged", "detail": "Gone.", "remedy": "Send it again."}'
Reply = Callable[[dict[str, str], asyncio.StreamWriter], Awaitable[None]]


def span_of(headers: dict[str, str]) -> tuple[int, int]:
    if "range" not in headers:
        return 0, len(FILE)
    start, _, last = headers["range"].removeprefix("bytes=").partition("-")
    return int(start), int(last) + 1


def file(cut_after: int | None = None, *, tag: str = TAG, shift: int = 0, hang: bool = False) -> Reply:
    """Answers with the file as a gateway does; the connection breaks, or nothing more comes, after so many bytes."""

    async def reply(headers: dict[str, str], out: asyncio.StreamWriter) -> None:
        start, stop = span_of(headers) if headers.get("if-range", tag) == tag else (0, len(FILE))
        told = (
            f"Content-Range: bytes {start + shift}-{stop - 1}/{len(FILE)}\r\n"
            if "range" in headers and stop - start < len(FILE)
            else ""
        )
        out.write(f"HTTP/1.1 {206 if told else 200} OK\r\n{told}ETag: {tag}\r\nContent-Length: {stop - start}\r\n\r\n".encode())
        out.write(FILE[start:stop][:cut_after])
        await out.drain()
        if hang:
            await asyncio.sleep(60)

    return reply


def status(code: int, body: bytes = b"{}") -> Reply:
    async def reply(_: dict[str, str], out: asyncio.StreamWriter) -> None:
        out.write(f"HTTP/1.1 {code} No\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return reply


class Scripted:
    """Answers one request after the other as the script says, and closes each connection."""

    def __init__(self, *script: Reply) -> None:
        self.script = list(script)
        self.asked: list[dict[str, str]] = []

    async def serve(self, source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        lines = (await source.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        self.asked.append({name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)})
        try:
            if self.script:
                await self.script.pop(0)(self.asked[-1], out)
        finally:
            out.close()


@asynccontextmanager
async def before(scripted: Scripted, directory: Path) -> AsyncIterator[Gateway]:
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = GatewaySettings.model_construct(title="us", url=url, token_file=secret(directory / "token", "t"), ca_file=None)
    gateway = Gateway("us", settings, httpx.AsyncClient(base_url=f"{url}/api/v1/", trust_env=False))
    try:
        yield gateway
    finally:
        await gateway.close()
        server.close()


async def fetched(gateway: Gateway, wanted: str | None = None) -> tuple[int, bytes, bool]:
    """Status, bytes, and whether it was the whole answer."""
    got = bytearray()
    async with gateway.content("a1", wanted, "ann@example.com") as told:
        try:
            async for piece in told.pieces:
                got += piece
        except Broken:
            return told.status, bytes(got), False
    return told.status, bytes(got), True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PAUSES_S", (0.0,) * 4)


async def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    scripted = Scripted(file(300_001), file(1), status(503), file(0), file())
    async with before(scripted, tmp_path) as gateway:
        assert await fetched(gateway) == (200, FILE, True)
    asked = [(each.get("range"), each.get("if-range"), each["eft-actor"]) for each in scripted.asked]
    rest = "bytes=300002-999999"
    assert asked == [
        (None, None, "ann@example.com"),
        ("bytes=300001-999999", TAG, "ann@example.com"),
        *[(rest, TAG, "ann@example.com")] * 3,
    ]


async def test_a_broken_range_ends_where_it_was_to_end(tmp_path: Path) -> None:
    async with before(Scripted(file(10), file()), tmp_path) as gateway:
        assert await fetched(gateway, "bytes=500-899999") == (206, FILE[500:900_000], True)


async def test_a_gateway_that_is_silent_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert content.SILENCE_S == 60
    monkeypatch.setattr(gateways, "_CONTENT_TIMEOUT", httpx.Timeout(0.3))
    async with before(Scripted(file(70_000, hang=True), file()), tmp_path) as gateway:
        assert await fetched(gateway) == (200, FILE, True)


@pytest.mark.parametrize(
    "then",
    [status(410, GONE), status(404), file(tag='"sha256-other"'), file(shift=1), status(416)],
    ids=["purged", "unknown", "another file", "another range", "shorter"],
)
async def test_what_is_not_the_rest_of_the_same_file_is_never_put_behind_it(tmp_path: Path, then: Reply) -> None:
    scripted = Scripted(file(400_000), then)
    async with before(scripted, tmp_path) as gateway:
        assert await fetched(gateway) == (200, FILE[:400_000], False)
    assert len(scripted.asked) == 2


async def test_a_gateway_that_stays_away_ends_the_download(tmp_path: Path) -> None:
    scripted = Scripted(file(400_000))
    async with before(scripted, tmp_path) as gateway:
        assert await fetched(gateway) == (200, FILE[:400_000], False)
    assert len(scripted.asked) == 1 + len(content.PAUSES_S)


async def test_breaks_without_end_end_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_BREAKS", 5)
    scripted = Scripted(*[file(1) for _ in range(9)])
    async with before(scripted, tmp_path) as gateway:
        assert await fetched(gateway) == (200, FILE[:6], False)


async def test_what_is_refused_at_first_is_told_and_not_tried_again(tmp_path: Path) -> None:
    scripted = Scripted(status(410, GONE), status(503))
    async with before(scripted, tmp_path) as gateway:
        with pytest.raises(GatewayRefused):
            await fetched(gateway)
        with pytest.raises(GatewayDown):
            await fetched(gateway)
