"""What the HTTP server refuses: messages that two readers could understand differently, and more than the limits allow."""

from __future__ import annotations

import json

import pytest

from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

HOST = "Host: localhost\r\n"


async def read_all(request: Request) -> Response:
    return Response(200, (), b"".join([piece async for piece in request.body]))


CHUNKED = f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "both framings": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both framings, the other way round": f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: +3\r\n\r\nabc",
    "a hexadecimal length": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 0x3\r\n\r\nabc",
    "an endless length": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 99999999999999999999\r\n\r\nabc",
    "no length after the name": f"PUT / HTTP/1.1\r\n{HOST}Content-Length:\r\n\r\nabc",
    "a folded field": f"GET / HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n",
    "a blank before the colon": f"GET / HTTP/1.1\r\n{HOST}X : a\r\n\r\n",
    "a field without a name": f"GET / HTTP/1.1\r\n{HOST}: a\r\n\r\n",
    "a NUL": f"GET / HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n",
    "a bare CR": f"GET / HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n",
    "bare line feeds": "GET / HTTP/1.1\nHost: localhost\n\n",
    "not HTTP at all": "\x16\x03\x01\x02\x00\r\n\r\n",
    "a method that is no token": f"G@T / HTTP/1.1\r\n{HOST}\r\n",
    "a blank before the method": f" GET / HTTP/1.1\r\n{HOST}\r\n",
    "a tab after the method": f"GET\t/ HTTP/1.1\r\n{HOST}\r\n",
    "two blanks after the method": f"GET  / HTTP/1.1\r\n{HOST}\r\n",
    "two blanks before the version": f"GET /  HTTP/1.1\r\n{HOST}\r\n",
    "a blank after the version": f"GET / HTTP/1.1 \r\n{HOST}\r\n",
    "no address": f"GET HTTP/1.1\r\n{HOST}\r\n",
    "no version": "GET /\r\n",
    "the version of another protocol": f"GET / RTSP/1.0\r\n{HOST}\r\n",
    "a method and a version of another protocol": f"SOURCE / ICE/1.0\r\n{HOST}\r\n",
    "a version in small letters": f"GET / http/1.1\r\n{HOST}\r\n",
    "a version of two digits": f"GET / HTTP/1.10\r\n{HOST}\r\n",
    "a blank in the address": f"GET /a b HTTP/1.1\r\n{HOST}\r\n",
    "a byte that is not ASCII in the address": f"GET /\u00e4 HTTP/1.1\r\n{HOST}\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": f"GET / HTTP/1.1\r\n{HOST}{HOST}\r\n",
    "a host that is none": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "an empty host": "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "no slash": f"GET files HTTP/1.1\r\n{HOST}\r\n",
    "an upgrade": f"GET / HTTP/1.1\r\n{HOST}Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "chunks in HTTP/1.0": f"PUT / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings, chunked twice": f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then identity": (
        f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "a blank between Transfer-Encoding and its colon": (
        f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
    ),
    "a tab between Content-Length and its colon": f"PUT / HTTP/1.1\r\n{HOST}Content-Length\t: 3\r\n\r\nabc",
    "chunked folded into the line before": f"PUT / HTTP/1.1\r\n{HOST}X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length after a NUL": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 3\0\r\n\r\nabc",
    "a length with an underscore": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 1_0\r\n\r\n0123456789",
    "a length in other digits": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: \xb2\r\n\r\nab",
    "a negative length": f"PUT / HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n",
    "a line feed that ends a field": f"PUT / HTTP/1.1\r\n{HOST}X: a\nContent-Length: 3\r\n\r\nabc",
    "a colon in the request line's version": "GET / HTTP/1.1:\r\nHost: localhost\r\n\r\n",
    "a host with credentials": "GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n",
    "a coding that only looks like chunked": f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked with a parameter": f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "identity as a coding": f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: identity\r\n\r\n",
    "a control before chunked": f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + "0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + "-3\r\nabc\r\n0\r\n\r\n",
    "a blank after the chunk size": CHUNKED + "3 \r\nabc\r\n0\r\n\r\n",
    "a chunk size too large": CHUNKED + "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + "\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + "3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that ends with a bare LF": CHUNKED + "3\r\nabc\n0\r\n\r\n",
    "a chunk size that ends with a bare LF": CHUNKED + "3\nabc\r\n0\r\n\r\n",
    "a chunk extension with a CR": CHUNKED + "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "a chunk extension without end": CHUNKED + "3;" + "a" * 1000 + "\r\nabc\r\n0\r\n\r\n",
    "a folded trailer": CHUNKED + "0\r\nX: a\r\n b\r\n\r\n",
    "a trailer without a colon": CHUNKED + "0\r\nX\r\n\r\n",
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_doubtful_message_is_refused_and_the_connection_ended(serve, message: str) -> None:
    peer = serve(read_all, linger_s=0.1).peer()
    peer.send(message.encode("latin-1"))
    answer = peer.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    problem = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "malformed-request"
    assert problem["remedy"]
    # What follows is never taken for a request.
    assert peer.is_ended()


REFUSED = {
    "an unknown method": (501, f"BREW / HTTP/1.1\r\n{HOST}\r\n"),
    "a tunnel": (501, f"CONNECT localhost:1 HTTP/1.1\r\n{HOST}\r\n"),
    "a coding that is not chunked": (501, f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "the preface of HTTP/2": (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0 in words": (505, f"GET / HTTP/2.0\r\n{HOST}\r\n"),
    "HTTP/3.0": (505, f"GET / HTTP/3.0\r\n{HOST}\r\n"),
    "HTTP/1.2": (505, f"GET / HTTP/1.2\r\n{HOST}\r\n"),
    "a method in small letters": (501, f"get / HTTP/1.1\r\n{HOST}\r\n"),
    "a long method": (501, f"{'A' * 100_000} / HTTP/1.1\r\n{HOST}\r\n"),
    "HTTP/0.9": (505, f"GET / HTTP/0.9\r\n{HOST}\r\n"),
    "a long address": (414, f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n"),
    "many fields": (431, f"GET / HTTP/1.1\r\n{HOST}" + "X: y\r\n" * 101 + "\r\n"),
    "a long field": (431, f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 132_000}\r\n\r\n"),
    "a field without end": (431, f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 150_000}"),
    "many trailers": (431, CHUNKED + "0\r\n" + "X: y\r\n" * 17 + "\r\n"),
    "a long trailer": (431, CHUNKED + "0\r\nX: " + "a" * 9000 + "\r\n\r\n"),
    "another expectation": (417, f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nExpect: 200-ok\r\n\r\na"),
    "an escape that is none": (400, f"GET /%zz HTTP/1.1\r\n{HOST}\r\n"),
    "a path that is not UTF-8": (400, f"GET /%ff HTTP/1.1\r\n{HOST}\r\n"),
    "a NUL in the path": (400, f"GET /a%00b HTTP/1.1\r\n{HOST}\r\n"),
}


@pytest.mark.parametrize(("status", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_served_is_refused_with_its_own_status(serve, status: int, message: str) -> None:
    peer = serve(read_all, linger_s=0.1).peer()
    peer.send(message.encode("latin-1"))
    answer = peer.answer()
    assert answer.status == status
    assert json.loads(answer.body)["status"] == status
    assert peer.is_ended()


def test_the_path_is_decoded_once(serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, (), request.path.encode())

    assert serve(handler).ask(f"GET /%252e%2Fb%20%C3%A4 HTTP/1.1\r\n{HOST}\r\n").text == "/%2e/b ä"


def test_limits_are_reached_and_not_passed(serve) -> None:
    server = serve(read_all)
    fields = "X: y\r\n" * 99
    assert server.ask(f"GET / HTTP/1.1\r\n{HOST}{fields}\r\n").status == 200
    assert server.ask(f"GET /{'a' * 8191} HTTP/1.1\r\n{HOST}\r\n").status == 200
    assert server.ask(f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 130_000}\r\n\r\n").status == 200


def test_a_body_past_the_limit_of_the_handler_is_refused_before_it_is_read(serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, (), await request.body.read(10))

    server = serve(handler)
    for message in (
        f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 11\r\n\r\n",
        CHUNKED + "b\r\nabcdefghijk\r\n",
    ):
        answer = server.ask(message)
        assert (answer.status, json.loads(answer.body)["limit"]) == (413, 10)
