"""Uploads that move between the workers of one gateway while their old connections are half-open."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import http.client
import json
import os
from pathlib import Path
import socket
import ssl
import time

import pytest

from tests.fixtures.gateway import Gateway

TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
DRAFT = {"Content-Type": "application/partial-upload", "Upload-Complete": "?0"}
KIB = 1024


class Door:
    """`/files` of a gateway with two workers. Each request goes over a connection of its own, and so to either of them."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.context = ssl.create_default_context(cafile=str(gateway.ca))
        self.tokens = {case: self.token(case) for case in ("C-1", "C-2") if self.api("PUT", f"cases/{case}", CASE)}

    def api(self, method: str, path: str, body: object) -> dict[str, str]:
        status, _, answer = self.ask(
            method, f"/api/v1/{path}", json.dumps(body).encode(), token=self.gateway.api_token, Content_Type="application/json"
        )
        assert status < 300, answer
        return dict(json.loads(answer))

    def token(self, case: str) -> str:
        return self.api("POST", f"cases/{case}/upload-tokens", {})["token"]

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, token: str = "", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPSConnection("localhost", self.gateway.https_port, context=self.context, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": f"Bearer {token or self.tokens['C-1']}", **sent})
        answer = connection.getresponse()
        told = answer.status, answer.headers, answer.read()
        connection.close()
        return told

    def create(self, headers: dict[str, str], length: int) -> str:
        """Of the draft without an interop version, so that no 104 comes, which http.client takes for the final answer."""
        sent = {name: value for name, value in headers.items() if name in ("Tus-Resumable", "Upload-Complete")}
        status, told, _ = self.ask("POST", "/files", b"", Upload_Length=str(length), **sent)
        assert status == 201
        return str(told["Location"])

    def half_open(self, path: str, headers: dict[str, str], data: bytes, size: int) -> ssl.SSLSocket:
        """A PATCH of `size` bytes of which `data` came, and then nothing more."""
        raw = socket.create_connection(("127.0.0.1", self.gateway.https_port))
        peer = self.context.wrap_socket(raw, server_hostname="localhost")
        fields = {"Host": "localhost", "Authorization": f"Bearer {self.tokens['C-1']}", "Upload-Offset": "0", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in (*fields.items(), ("Content-Length", str(size))))
        peer.sendall(f"PATCH {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
        return peer


def asked_in(protocol: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in protocol.items() if name == "Tus-Resumable"}


CASE = {"organisation": "Example", "subject": "Test", "status": "open"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory: Path = tmp_path_factory.mktemp("takeover")
    gateway = Gateway(directory / "gateway", workers=2).start()
    try:
        yield Door(gateway)
    finally:
        gateway.kill()


@pytest.mark.parametrize("protocol", [TUS, DRAFT], ids=["tus", "draft"])
@pytest.mark.parametrize("by", ["HEAD", "PATCH"])
def test_a_half_open_writer_is_displaced_at_once_and_all_that_came_is_kept(door: Door, protocol: dict[str, str], by: str) -> None:
    """Twelve times: most likely the old and the new connection are at different workers in several of them."""
    data, rest = os.urandom(300 * KIB), os.urandom(KIB)
    slowest = 0.0
    for _ in range(12):
        path = door.create(protocol, len(data) + len(rest))
        old = door.half_open(path, protocol, data, len(data) + len(rest))
        time.sleep(0.15)
        began = time.monotonic()
        if by == "HEAD":
            _, told, _ = door.ask("HEAD", path, **asked_in(protocol))
            assert int(told["Upload-Offset"]) == len(data)
        else:
            status, told, _ = door.ask("PATCH", path, rest, Upload_Offset=str(len(data)), **protocol)
            assert status == 204
            assert told["Upload-Offset"] in (None, str(len(data) + len(rest)))
        slowest = max(slowest, time.monotonic() - began)
        old.close()
    assert slowest < 1.0, f"{slowest * 1000:.0f} ms"


@pytest.mark.parametrize("protocol", [TUS, DRAFT], ids=["tus", "draft"])
def test_of_two_writers_at_one_offset_exactly_one_wins_and_nothing_is_mixed(door: Door, protocol: dict[str, str]) -> None:
    """The one that comes second ends the first if nothing has come of it; otherwise the first goes on."""
    bodies = [bytes([letter]) * 64 * KIB for letter in b"ab"]
    with ThreadPoolExecutor(2) as both:
        for _ in range(50):
            path = door.create(protocol, 65 * KIB)

            def write(body: bytes, path: str = path) -> int:
                return door.ask("PATCH", path, body, Upload_Offset="0", **protocol)[0]

            statuses = sorted(both.map(write, bodies))
            assert statuses == [204, 409]
            _, told, _ = door.ask("HEAD", path, **asked_in(protocol))
            offset = int(told["Upload-Offset"])
            assert offset == 64 * KIB
            ending = protocol | ({"Upload-Complete": "?1"} if "Upload-Complete" in protocol else {})
            door.ask("PATCH", path, b"z" * (65 * KIB - offset), Upload_Offset=str(offset), **ending)
            stored = door.ask("GET", path)[2]
            assert (len(stored), stored[offset:].strip(b"z")) == (65 * KIB, b"")
            assert stored[:offset].strip(stored[:1]) == b""


def test_a_token_may_be_renewed_in_the_middle_and_another_cases_reaches_nothing(door: Door) -> None:
    metadata = "filename YS5sb2c=,fingerprint " + "YWJj"
    _, told, _ = door.ask("POST", "/files", b"", Upload_Length="6", Upload_Metadata=metadata, **TUS)
    path = told["Location"]
    assert door.ask("PATCH", path, b"abc", Upload_Offset="0", **TUS)[0] == 204
    for method in ("HEAD", "GET", "DELETE", "PATCH"):
        assert door.ask(method, path, token=door.tokens["C-2"], Upload_Offset="3", **TUS)[0] == 404
    renewed = door.token("C-1")
    status, told, _ = door.ask("HEAD", path, token=renewed, **TUS)
    assert (status, told["Upload-Offset"], told["Upload-Metadata"]) == (200, "3", metadata)
    assert door.ask("PATCH", path, b"def", token=renewed, Upload_Offset="3", **TUS)[0] == 204
