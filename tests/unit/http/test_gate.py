"""The first thing a request meets."""

from __future__ import annotations

import json

import pytest

from eft.domain.errors import CaseClosed
from eft.http_resumable.gate import Gate
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

ORIGIN = "https://portal.example:8440"


async def name_the_route(request: Request) -> Response:
    return Response(200, (), request.path.encode())


async def refuse(request: Request) -> Response:
    raise CaseClosed


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
