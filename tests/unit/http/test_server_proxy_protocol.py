"""Connections that a proxy in TCP mode hands on: who the client is stands before TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import socket
import ssl
import time

import pytest

from eft.http_resumable.limits import Limits
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from tests.fixtures.tls import Certificates, RunningServer, running_server

V1 = b"PROXY TCP4 198.51.100.1 203.0.113.7 40000 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([198, 51, 100, 1, 203, 0, 113, 7]) + b"\x9c\x40\x01\xbb"
OWN = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


async def name_the_client(request: Request) -> Response:
    return Response(200, (), request.peer.encode())


@contextmanager
def announced(certificates: Certificates, **limits: float) -> Iterator[RunningServer]:
    chosen = Limits(**{"sweep_s": 0.05, "handshake_s": 0.5, **limits})  # type: ignore[arg-type]
    with running_server(name_the_client, certificates, chosen, proxy_protocol_from=["127.0.0.0/8"]) as server:
        yield server


def connect(server: RunningServer, *pieces: bytes) -> ssl.SSLSocket:
    """A TLS connection with the pieces before it, each sent on its own."""
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        raw.sendall(piece)
        time.sleep(0.01)
    return server.certificates.client_context().wrap_socket(raw, server_hostname="localhost")


def ask(server: RunningServer, *pieces: bytes) -> bytes:
    with connect(server, *pieces) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(4096):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("pieces", "client"),
    [
        ([V1], b"198.51.100.1"),
        ([V2], b"198.51.100.1"),
        ([bytes([byte]) for byte in V2], b"198.51.100.1"),
        ([V1[:20], V1[20:]], b"198.51.100.1"),
        ([OWN], b"127.0.0.1"),
        ([b"PROXY UNKNOWN\r\n"], b"127.0.0.1"),
    ],
    ids=["version 1", "version 2", "a byte at a time", "in two pieces", "a health check", "unknown"],
)
def test_the_client_is_who_the_header_says(certificates: Certificates, pieces: list[bytes], client: bytes) -> None:
    with announced(certificates) as server:
        assert ask(server, *pieces).endswith(b"\r\n\r\n" + client)


@pytest.mark.parametrize(
    "pieces",
    [[], [b"PROXY TCP4 198.51.100.1\r\n"], [V1, V2], [b"GET / HTTP/1.1\r\n\r\n"]],
    ids=["TLS at once", "malformed", "two headers", "HTTP"],
)
def test_a_connection_without_one_good_header_is_closed(certificates: Certificates, pieces: list[bytes]) -> None:
    with announced(certificates) as server:
        with pytest.raises(OSError):
            ask(server, *pieces)
        assert ask(server, V2).endswith(b"198.51.100.1")
        assert server.server.connections <= 1


def test_a_header_that_never_ends_gives_its_place_back(certificates: Certificates) -> None:
    with announced(certificates) as server:
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        silent.sendall(V2[:14])
        assert silent.recv(1) == b""
        silent.close()
        end = time.monotonic() + 2
        while server.server.connections and time.monotonic() < end:
            time.sleep(0.02)
        assert server.server.connections == 0


def test_a_header_from_anywhere_else_is_no_tls(certificates: Certificates) -> None:
    with running_server(name_the_client, certificates, proxy_protocol_from=["10.0.0.0/8"]) as server:
        with pytest.raises(OSError):
            ask(server, V1)
        assert ask(server).endswith(b"127.0.0.1")


def test_connections_are_counted_for_the_client_and_not_for_the_proxy(certificates: Certificates) -> None:
    with announced(certificates, connections_per_address=1) as server:
        held = connect(server, V1)
        assert b" 503 " in ask(server, V2).splitlines()[0]
        assert b" 200 " in ask(server, V2.replace(bytes([198, 51, 100, 1]), bytes([198, 51, 100, 2]))).splitlines()[0]
        held.close()


def test_the_limit_of_one_address_does_not_hold_for_a_listed_proxy(certificates: Certificates) -> None:
    limits = Limits(connections_per_address=1)
    with running_server(name_the_client, certificates, limits, proxies=["127.0.0.1"]) as server:
        held = [connect(server) for _ in range(3)]
        assert b" 200 " in ask(server).splitlines()[0]
        for each in held:
            each.close()
