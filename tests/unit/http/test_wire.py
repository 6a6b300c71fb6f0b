"""What the HTTP server does with well-behaved peers."""

from __future__ import annotations

import asyncio
import json
import time

from eft.http_resumable.request import Request
from eft.http_resumable.response import Response


async def read_all(request: Request) -> Response:
    return Response(200, (), str(len([piece async for piece in request.body])).encode())


async def echo(request: Request) -> Response:
    body = b"".join([piece async for piece in request.body])
    trailers = ",".join(f"{name}={value}" for name, value in request.body.trailers)
    return Response(200, (("X-Trailers", trailers), ("X-Path", request.raw_path.decode())), body)


def test_a_body_with_a_length_arrives_whole(serve) -> None:
    answer = serve(echo).ask("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
    assert (answer.status, answer.body) == (200, b"hello")


def test_a_large_body_arrives_byte_for_byte_whichever_way_it_is_framed(serve) -> None:
    data = bytes(range(256)) * 20_000
    server = serve(echo)
    peer = server.peer()
    peer.send(b"PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    assert peer.answer().body == data
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(data[i : i + 70_001]), data[i : i + 70_001]) for i in range(0, len(data), 70_001))
    peer.send(b"PUT /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert peer.answer().body == data


def test_trailers_are_seen_after_the_body(serve) -> None:
    answer = serve(echo).ask(
        "PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: Upload-Checksum\r\n\r\n"
        "3\r\nabc\r\n0\r\nUpload-Checksum: sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\r\n\r\n"
    )
    assert answer.body == b"abc"
    assert answer.headers["x-trailers"] == "Upload-Checksum=sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0="


def test_everything_may_come_a_byte_at_a_time(serve) -> None:
    peer = serve(echo).peer()
    for byte in b"PUT /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n":
        peer.send(bytes([byte]))
    answer = peer.answer()
    assert (answer.body, answer.headers["x-trailers"]) == (b"abc", "A=b")


def test_interim_answers_come_before_the_answer(serve) -> None:
    async def handler(request: Request) -> Response:
        request.inform(104, [("Location", "/files/1"), ("Upload-Offset", "7")])
        await asyncio.sleep(0.05)
        return Response(201)

    peer = serve(handler).peer()
    peer.send("POST /files HTTP/1.1\r\nHost: localhost\r\n\r\n")
    first, second = peer.answer(), peer.answer()
    assert (first.status, first.headers["location"], first.headers["upload-offset"]) == (104, "/files/1", "7")
    assert second.status == 201


def test_continue_is_sent_when_the_handler_first_reads(serve) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/refused":
            return Response(403)
        return Response(200, (), await request.body.read(100))

    server = serve(handler)
    peer = server.peer()
    peer.send("PUT /taken HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert peer.answer().status == 100
    peer.send("abc")
    assert peer.answer().body == b"abc"
    peer.send("PUT /refused HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    answer = peer.answer()
    assert (answer.status, answer.headers["connection"]) == (403, "close")


def test_pipelined_requests_are_answered_in_order(serve) -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.01 if request.path == "/0" else 0)
        return Response(200, (), request.path.encode())

    peer = serve(handler).peer()
    peer.send("".join(f"GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n" for number in range(2000)))
    assert [peer.answer().text for _ in range(2000)] == [f"/{number}" for number in range(2000)]


def test_pipelined_bodies_stay_apart(serve) -> None:
    peer = serve(echo).peer()
    chunked = "PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    fixed = "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\ncd"
    peer.send((chunked + fixed) * 20)
    assert [peer.answer().body for _ in range(40)] == [b"ab", b"cd"] * 20


def test_an_early_answer_keeps_the_connection_when_little_is_left(serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(403 if request.method == "PUT" else 200)

    peer = serve(handler).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + "x" * 10)
    assert peer.answer().status == 403
    peer.send("x" * 990 + "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert peer.answer().status == 200


def test_an_early_answer_reaches_a_peer_that_sends_on(serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(403, (), b"no")

    peer = serve(handler).peer()
    body = b"x" * (20 * 1024 * 1024)
    peer.send(b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
    peer.send(body)
    answer = peer.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (403, b"no", "close")


def test_streamed_answers_are_chunked_or_of_the_length_that_was_said(serve) -> None:
    async def pieces():
        for piece in (b"one", b"", b"two" * 10_000):
            yield piece

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces(), 30_003 if request.path == "/known" else None)

    peer = serve(handler).peer()
    for path in ("/unknown", "/known"):
        peer.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = peer.answer()
        assert answer.body == b"one" + b"two" * 10_000
        assert ("transfer-encoding" in answer.headers) == (path == "/unknown")


def test_an_answer_that_breaks_half_way_is_cut_short(serve) -> None:
    async def pieces():
        yield b"a" * 10
        raise OSError("disk")

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces(), None if request.path == "/chunked" else 20)

    server = serve(handler)
    for path in ("/chunked", "/fixed"):
        peer = server.peer()
        peer.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            whole = peer.answer()
        except (EOFError, OSError):
            continue
        raise AssertionError(f"looked whole: {whole}")


def test_head_has_the_length_and_no_body(serve) -> None:
    closed: list[bool] = []

    async def pieces():
        try:
            yield b"x"
        finally:
            closed.append(True)

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces(), 12345)

    peer = serve(handler).peer()
    for _ in range(2):
        peer.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.answer(to_head=True).headers["content-length"] == "12345"


def test_http_1_0_is_answered_and_the_connection_closed(serve) -> None:
    async def pieces():
        yield b"abc"

    async def handler(request: Request) -> Response:
        request.inform(104)
        return Response(200, (), pieces())

    peer = serve(handler).peer()
    peer.send("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
    answer = peer.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (200, b"abc", "close")


def test_connection_close_is_honoured(serve) -> None:
    peer = serve(echo).peer()
    peer.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert peer.answer().headers["connection"] == "close"
    assert peer.is_ended()


def test_the_absolute_form_and_the_asterisk_are_understood(serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, (), f"{request.host} {request.path} {request.query}".encode())

    server = serve(handler)
    assert (
        server.ask("GET https://Example.org:8441/a%20b?x=1&x=2 HTTP/1.1\r\nHost: other\r\n\r\n").text
        == "example.org /a b {'x': ['1', '2']}"
    )
    assert server.ask("OPTIONS * HTTP/1.1\r\nHost: [::1]:8441\r\n\r\n").text == "::1 * {}"
    assert server.ask("OPTIONS https://example.org HTTP/1.1\r\nHost: example.org\r\n\r\n").text == "example.org * {}"


def test_every_answer_carries_the_security_headers(serve) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/own":
            return Response(200, (("Cache-Control", "private"), ("Server", "x")))
        raise RuntimeError("secret")

    server = serve(handler)
    own = server.ask("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
    failed = server.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    malformed = server.ask("nonsense\r\n\r\n")
    for answer in (own, failed, malformed):
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
        assert "date" in answer.headers
    assert own.headers["cache-control"] == "private"
    assert failed.headers["cache-control"] == "no-store"
    assert (failed.status, "secret" in failed.text, "internal-error" in failed.text) == (500, False, True)


def test_an_answer_whose_header_would_split_the_message_is_never_sent(serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, (("X-Name", "a\r\nSet-Cookie: b"),))

    peer = serve(handler).peer()
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"Set-Cookie" not in peer.rest()


def test_closing_lets_a_running_answer_finish_and_ends_idle_connections(serve) -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.4)
        return Response(200, (), b"done")

    server = serve(handler)
    idle, busy = server.peer(), server.peer()
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    idle.answer()
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.1)
    began = time.monotonic()
    server.run(server.server.close(5))
    assert time.monotonic() - began < 2
    answer = busy.answer()
    assert (answer.body, answer.headers["connection"]) == (b"done", "close")
    assert idle.is_ended()
    assert server.server.connections == 0


def test_closing_cancels_what_outlasts_the_grace(serve) -> None:
    ended: list[str] = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")
        return Response(200)

    server = serve(handler)
    server.peer().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.1)
    server.run(server.server.close(0.1))
    assert ended == ["cancelled"]


def test_closing_answers_who_had_just_connected(serve) -> None:
    server = serve(read_all)
    fresh = server.peer()
    closing = asyncio.run_coroutine_threadsafe(server.server.close(5), server._loop)
    time.sleep(0.2)
    fresh.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = fresh.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    closing.result(10)


def test_closing_tells_who_is_still_sending_before_the_grace_runs_out(serve) -> None:
    server = serve(read_all)
    sender = server.peer()
    sender.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
    time.sleep(0.1)
    closing = asyncio.run_coroutine_threadsafe(server.server.close(3.5), server._loop)
    answer = sender.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "stopping")
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
    closing.result(10)
    assert server.server.connections == 0
