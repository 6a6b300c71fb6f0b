"""An ASGI application on our own requests and answers."""

from __future__ import annotations

import asyncio
import time

from fastapi import FastAPI
from fastapi import Request as ApiRequest
from fastapi.responses import StreamingResponse
import pytest

from eft.http_resumable.asgi import AsgiMount

MIB = 1024 * 1024


def application(events: list[str]) -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    @app.post("/json")
    async def take(body: dict[str, int]) -> dict[str, int]:
        return body

    @app.post("/count")
    async def count(request: ApiRequest) -> dict[str, int]:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return {"size": size}

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def pieces():
            try:
                while True:
                    events.append("piece")
                    yield b"x" * MIB
            finally:
                events.append("ended")

        return StreamingResponse(pieces())

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def pieces():
            yield b"x"
            raise OSError("disk")

        return StreamingResponse(pieces())

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("secret")

    @app.get("/background")
    async def background() -> StreamingResponse:
        async def pieces():
            yield b"one"
            await asyncio.sleep(0)
            yield b"two"

        return StreamingResponse(pieces(), media_type="text/plain")

    return app


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def server(serve, events: list[str]):
    return serve(AsgiMount(application(events), body_limit=1000, unlimited=lambda method, path: path == "/count"))


def test_a_plain_answer_has_its_length(server) -> None:
    answer = server.ask("GET /hello?name=%C3%A4 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.text, answer.headers["content-length"]) == ('{"hello":"ä"}', "14")


def test_a_body_is_read(server) -> None:
    answer = server.ask('POST /json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}')
    assert answer.text == '{"a":1}'


@pytest.mark.parametrize("framing", ["Content-Length: 1001\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e9\r\n"])
def test_a_body_past_the_limit_is_refused_whatever_the_application_says(server, framing: str) -> None:
    answer = server.ask(f"POST /json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing}" + "x" * 1001)
    assert (answer.status, b"too-large" in answer.body) == (413, True)


def test_a_body_without_limit_is_streamed(server) -> None:
    peer = server.peer()
    size = 30 * MIB
    peer.send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    peer.send(b"x" * size)
    assert peer.answer().text == f'{{"size":{size}}}'


def test_a_streamed_answer_arrives_and_the_connection_goes_on(server) -> None:
    peer = server.peer()
    for _ in range(2):
        peer.send("GET /background HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.answer().body == b"onetwo"


def test_an_answer_that_nobody_reads_is_not_made(server, events: list[str]) -> None:
    peer = server.peer(receive_buffer=65536)
    peer.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.3)
    assert events.count("piece") < 16
    peer.vanish()
    end = time.monotonic() + 5
    while "ended" not in events and time.monotonic() < end:
        time.sleep(0.02)
    assert events[-1] == "ended"


def test_an_answer_that_breaks_half_way_is_cut_short(server) -> None:
    peer = server.peer()
    peer.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises((EOFError, OSError)):
        peer.answer()


def test_a_failure_tells_nothing_of_the_inside(server) -> None:
    answer = server.ask("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, b"secret" in answer.body) == (500, False)
