"""The first thing a request meets."""

from __future__ import annotations

import json
import time

import pytest

from eft.domain.errors import CaseClosed
from eft.http_resumable.gate import Gate
from eft.http_resumable.proxies import Proxies
from eft.http_resumable.rates import RateLimits, Rates
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from tests.fixtures.tls import MachineClock

ORIGIN = "https://portal.example:8440"


async def name_the_route(request: Request) -> Response:
    return Response(200, (), request.path.encode())


async def refuse(request: Request) -> Response:
    raise CaseClosed


async def name_the_client(request: Request) -> Response:
    return Response(200, (), f"{request.peer} {request.scheme}://{request.host}".encode())


async def take_the_body(request: Request) -> Response:
    async for _ in request.body:
        pass
    return Response(204)


@pytest.fixture
def server(serve):
    routes = {"/files": name_the_route, "/api/v1": refuse}
    return serve(Gate(routes, allowed_hosts=["localhost", "::1", "Gateway.Example"], cors_origins=[ORIGIN]))


def get(path: str, host: str = "localhost:8441", *more: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *more]) + "\r\n\r\n"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "[::1]:8441", "gateway.example"])
def test_our_own_names_are_answered(server, host: str) -> None:
    assert server.ask(get("/files", host)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost.", "127.0.0.2", "gateway.example.evil"])
def test_another_name_is_refused(server, host: str) -> None:
    answer = server.ask(get("/files", host))
    assert (answer.status, json.loads(answer.body)["code"]) == (421, "wrong-host")


def test_the_name_in_the_address_counts_and_not_the_header(server) -> None:
    assert server.ask(get("https://evil.example/files", "localhost")).status == 421


@pytest.mark.parametrize(
    ("path", "status"), [("/files", 200), ("/files/x", 200), ("/filesystem", 404), ("/", 404), ("/Files", 404)]
)
def test_a_route_takes_whole_components(server, path: str, status: int) -> None:
    answer = server.ask(get(path))
    assert answer.status == status
    if status == 404:
        assert json.loads(answer.body)["code"] == "not-found"


def test_what_a_handler_refuses_is_answered_as_a_problem_with_the_origins_headers(server) -> None:
    answer = server.ask(get("/api/v1/cases", "localhost", f"Origin: {ORIGIN}"))
    assert (answer.status, json.loads(answer.body)["code"]) == (403, "case-closed")
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://portal.example:8440.evil.example", "HTTPS://PORTAL.EXAMPLE:8440"]
)
def test_another_origin_is_told_nothing(server, origin: str) -> None:
    answer = server.ask(get("/files", "localhost", f"Origin: {origin}"))
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


def test_credentials_are_never_allowed_across_origins(server) -> None:
    assert "access-control-allow-credentials" not in server.ask(get("/files", "localhost", f"Origin: {ORIGIN}")).headers


def behind(serve, trusted: list[str], *, forwarded: bool = False):
    proxies = Proxies(trusted, forwarded=forwarded)
    return serve(Gate({"/files": name_the_client}, allowed_hosts=["localhost", "gateway.example"], proxies=proxies))


FORWARDED = ("X-Forwarded-For: 6.6.6.6, 198.51.100.1", "X-Forwarded-Host: gateway.example:8441", "X-Forwarded-Proto: https")


def test_a_listed_proxy_says_who_the_client_is(serve) -> None:
    assert behind(serve, ["127.0.0.0/8"]).ask(get("/files", "localhost", *FORWARDED)).text == (
        "198.51.100.1 https://gateway.example"
    )


def test_anybody_else_says_nothing_of_the_client(serve) -> None:
    assert behind(serve, ["10.0.0.0/8"]).ask(get("/files", "localhost", *FORWARDED)).text == "127.0.0.1 https://localhost"


def test_a_forwarded_host_must_be_ours_too(serve) -> None:
    server = behind(serve, ["127.0.0.1"], forwarded=True)
    assert server.ask(get("/files", "localhost", 'Forwarded: for=198.51.100.1;host="gateway.example"')).status == 200
    answer = server.ask(get("/files", "localhost", "Forwarded: for=198.51.100.1;host=evil.example"))
    assert (answer.status, json.loads(answer.body)["code"]) == (421, "wrong-host")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "GZIP", "x"])
def test_a_body_that_would_have_to_be_unpacked_is_refused_everywhere(server, coding: str) -> None:
    for path in ("/files", "/api/v1/cases"):
        answer = server.ask(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {coding}\r\nContent-Length: 0\r\n\r\n")
        assert (answer.status, json.loads(answer.body)["code"]) == (415, "content-encoding")


def rated(serve, **limits: RateLimits):
    chosen = {"token": RateLimits(), "case": RateLimits(), "address": RateLimits(), **limits}
    return serve(Gate({"/files": take_the_body}, allowed_hosts=["localhost"], rates=Rates(MachineClock(), **chosen)))


def test_too_many_requests_are_told_when_to_come_again(serve) -> None:
    server = rated(serve, address=RateLimits(per_minute=3))
    assert [server.ask(get("/files")).status for _ in range(4)] == [204, 204, 204, 429]
    answer = server.ask(get("/files"))
    assert json.loads(answer.body)["code"] == "rate-limited"
    assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert server.ask("OPTIONS /files HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 204


def test_each_token_has_a_rate_of_its_own(serve) -> None:
    server = rated(serve, token=RateLimits(per_minute=1))
    tokens = ["Authorization: Bearer a", "Authorization: Bearer b", "Authorization: Bearer a"]
    assert [server.ask(get("/files", "localhost", token)).status for token in tokens] == [204, 204, 429]
    assert server.ask(get("/files")).status == 204


def test_uploads_at_the_same_time_are_counted_while_they_last(serve) -> None:
    server = rated(serve, address=RateLimits(at_once=1))
    put = "PUT /files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    running = server.peer()
    running.send(put)
    time.sleep(0.1)
    refused = server.ask(put)
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    assert server.ask(get("/files")).status == 204  # Nothing but uploads counts.
    running.send("abc")
    assert running.answer().status == 204
    again = server.peer()
    again.send(put + "abc")
    assert again.answer().status == 204
    cut = server.peer()
    cut.send(put + "a")
    time.sleep(0.1)
    cut.vanish()
    time.sleep(0.2)
    last = server.peer()
    last.send(put + "abc")
    assert last.answer().status == 204
