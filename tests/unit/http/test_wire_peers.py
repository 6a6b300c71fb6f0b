"""What the HTTP server does with slow, greedy and vanishing peers."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
import socket
import ssl
import time

import pytest

from eft.http_resumable.refusals import Disconnected
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

MIB = 1024 * 1024


async def read_all(request: Request) -> Response:
    size = 0
    async for piece in request.body:
        size += len(piece)
    return Response(200, (), str(size).encode())


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def wait_until(true, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def test_a_head_that_does_not_arrive_in_time_is_refused(serve) -> None:
    peer = serve(read_all, head_s=0.3, linger_s=0.2).peer()
    peer.send("GET / HTTP/1.1\r\nHost: loc")
    began = time.monotonic()
    answer = peer.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (408, "head-too-slow")
    assert time.monotonic() - began < 2
    assert peer.is_ended()


def test_bytes_that_trickle_do_not_extend_the_time_for_the_head(serve) -> None:
    peer = serve(read_all, head_s=0.4, linger_s=0.2).peer()
    began = time.monotonic()
    with pytest.raises(OSError):
        peer.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        while time.monotonic() - began < 5:
            peer.send("a")
            time.sleep(0.05)
    assert time.monotonic() - began < 3


def test_connections_that_ask_nothing_are_ended(serve) -> None:
    server = serve(read_all, head_s=0.3, keep_alive_s=0.3)
    fresh, used = server.peer(), server.peer()
    used.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    used.answer()
    assert fresh.is_ended()
    assert used.is_ended()


def test_a_body_that_stalls_is_refused(serve) -> None:
    peer = serve(read_all, body_window_s=0.3, linger_s=0.2).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    answer = peer.answer()
    assert (answer.status, json.loads(answer.body)["code"], answer.headers["connection"]) == (408, "body-too-slow", "close")


def test_a_body_that_keeps_the_minimum_rate_may_take_any_time(serve) -> None:
    peer = serve(read_all, body_window_s=0.4, minimum_rate=1).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
    for _ in range(8):
        time.sleep(0.15)
        peer.send("x")
    assert peer.answer().text == "8"


def test_a_body_that_trickles_below_the_minimum_rate_is_refused(serve) -> None:
    peer = serve(read_all, body_window_s=0.4, minimum_rate=100, linger_s=0.2).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    began = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - began < 5:
            peer.send("x")
            time.sleep(0.05)
    assert time.monotonic() - began < 3


def test_extensions_of_chunks_are_not_counted_as_the_body(serve) -> None:
    peer = serve(read_all, body_window_s=0.4, minimum_rate=500, linger_s=0.2).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    began = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - began < 5:
            peer.send("1;" + "e" * 200 + "\r\na\r\n")
            time.sleep(0.05)
    assert time.monotonic() - began < 3


def test_a_handler_that_takes_its_time_is_not_held_against_the_peer(serve) -> None:
    async def handler(request: Request) -> Response:
        first = await anext(request.body)
        await asyncio.sleep(0.8)
        return Response(200, (), first + b"".join([piece async for piece in request.body]))

    peer = serve(handler, body_window_s=0.3).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    time.sleep(0.9)
    peer.send("def")
    assert peer.answer().text == "abcdef"


def test_a_pause_of_the_peer_counts_only_while_a_handler_waits(serve) -> None:
    async def handler(request: Request) -> Response:
        first = await anext(request.body)
        await asyncio.sleep(0.8)
        return Response(200, (), first + b"".join([piece async for piece in request.body]))

    peer = serve(handler, body_window_s=0.3).peer()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
    time.sleep(0.1)
    peer.send("abc")
    time.sleep(0.9)
    peer.send("def")
    assert peer.answer().text == "abcdef"


def test_running_out_of_descriptors_is_survived(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(read_all)
    (listener,) = server.server._listeners
    accept, failures = socket.socket.accept, [3]

    def failing(self: socket.socket):
        if self is listener and failures[0]:
            failures[0] -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    assert server.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
    assert failures == [0]


def test_a_peer_that_vanishes_ends_the_body_after_what_came(serve) -> None:
    seen: list[object] = []

    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.3)
        try:
            async for piece in request.body:
                seen.append(piece)
        except Disconnected:
            seen.append("gone")
        return Response(200)

    for leave in ("vanish", "close"):
        seen.clear()
        peer = serve(handler).peer()
        peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        time.sleep(0.1)
        getattr(peer, leave)()
        assert wait_until(lambda: seen == [b"abc", "gone"]), seen


def test_a_peer_that_vanishes_ends_a_streamed_answer_and_its_source(serve) -> None:
    ended: list[bool] = []

    async def pieces():
        try:
            while True:
                yield b"x" * MIB
        finally:
            ended.append(True)

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces())

    server = serve(handler)
    peer = server.peer()
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.receive()
    peer.vanish()
    assert wait_until(lambda: ended == [True])
    assert wait_until(lambda: server.server.connections == 0)


def test_a_peer_that_does_not_read_costs_no_memory_and_is_cut(serve) -> None:
    made = 0

    async def pieces():
        nonlocal made
        while True:
            made += MIB
            yield b"x" * MIB

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces())

    server = serve(handler, write_window_s=1.0)
    before = resident_bytes()
    peer = server.peer(receive_buffer=65536)
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.6)
    assert made < 16 * MIB
    assert resident_bytes() - before < 16 * MIB
    assert wait_until(lambda: server.server.connections == 0)


def test_a_peer_that_reads_slowly_but_fast_enough_is_not_cut(serve) -> None:
    size = 6 * MIB

    async def pieces():
        for _ in range(size // MIB):
            yield b"x" * MIB

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces(), size)

    server = serve(handler, write_window_s=0.5, minimum_rate=64 * 1024)
    peer = server.peer(receive_buffer=16384)
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    began, read = time.monotonic(), 0
    while time.monotonic() - began < 2.5:
        read += len(peer.sock.recv(16384))
        time.sleep(0.05)
    assert read < MIB  # Nothing was taken out of the server's own buffer, which is to empty in half a second.
    while read < size:
        read += len(peer.receive())


def test_a_peer_that_reads_more_slowly_than_the_minimum_rate_is_cut(serve) -> None:
    async def pieces():
        while True:
            yield b"x" * MIB

    async def handler(request: Request) -> Response:
        return Response(200, (), pieces())

    server = serve(handler, write_window_s=0.5, minimum_rate=10 * MIB)
    peer = server.peer(receive_buffer=16384)
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    began = time.monotonic()
    with pytest.raises((OSError, EOFError)):
        while time.monotonic() - began < 10:
            if not peer.sock.recv(16384):
                raise EOFError
            time.sleep(0.02)
    assert time.monotonic() - began < 8


def test_a_handler_that_does_not_read_makes_the_peer_wait(serve) -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        await release.wait()
        return await read_all(request)

    server = serve(handler)
    peer = server.peer()
    total = 64 * MIB
    peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
    before = resident_bytes()
    piece, sent = b"x" * 65536, 0
    peer.sock.settimeout(0.5)
    with pytest.raises((TimeoutError, ssl.SSLError)):
        while sent < total:
            sent += peer.sock.send(piece)
    assert sent < 24 * MIB
    assert resident_bytes() - before < 16 * MIB
    peer.vanish()

    async def go() -> None:
        release.set()

    server.run(go())


def test_tiny_chunks_are_not_kept_as_tiny_objects(serve) -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        await release.wait()
        return await read_all(request)

    server = serve(handler)
    peer = server.peer()
    before = resident_bytes()
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.send(b"2\r\nab\r\n" * 300_000)
    assert resident_bytes() - before < 24 * MIB

    async def go() -> None:
        release.set()

    server.run(go())
    peer.send(b"0\r\n\r\n")
    assert peer.answer().text == "600000"


def test_more_connections_than_allowed_are_turned_away(serve) -> None:
    server = serve(read_all, connections=3)
    peers = [server.peer() for _ in range(3)]
    turned_away = server.peer()
    turned_away.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = turned_away.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "too-many-connections")
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("5", "close")
    peers[0].close()
    turned_away.close()
    assert wait_until(lambda: server.server.connections == 2)
    assert server.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200


def test_connections_past_those_that_are_turned_away_are_only_closed(serve) -> None:
    server = serve(read_all, connections=1, turned_away=1)
    held = [server.peer(), server.peer()]
    with pytest.raises((OSError, ssl.SSLError)):
        server.peer(timeout=2)
    assert server.server.connections == len(held)


def test_one_address_may_have_so_many_connections_and_no_more(serve) -> None:
    server = serve(read_all, connections_per_address=2)
    held = [server.peer(), server.peer()]
    assert server.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 503
    held[0].close()
    assert wait_until(lambda: server.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)


def test_a_handshake_that_stalls_gives_its_place_back(serve) -> None:
    server = serve(read_all, handshake_s=0.3)
    silent = socket.create_connection(("127.0.0.1", server.port))
    noisy = socket.create_connection(("127.0.0.1", server.port))
    noisy.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wait_until(lambda: server.server.connections == 0)
    silent.close()
    noisy.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(serve) -> None:
    server = serve(read_all)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, OSError)), socket.create_connection(("127.0.0.1", server.port)) as raw:
        context.wrap_socket(raw)


def test_keepalive_is_set_on_accepted_connections(serve) -> None:
    server = serve(read_all)
    server.peer()

    async def options() -> tuple[int, int]:
        connection = next(iter(server.server._site.connections))
        fd = connection._transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=socket.dup(fd)) as sock:
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), sock.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_KEEPIDLE
            )

    assert server.run(options()) == (1, 15)
