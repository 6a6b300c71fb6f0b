"""Uploads and downloads by plain curl over TLS, to a real gateway."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import json
import os
from pathlib import Path
import re
import secrets
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway

pytestmark = pytest.mark.needs("curl")

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory):
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us", workers=2).start()
    yield made
    made.stop()


class Curl:
    """curl with a token of a case of its own."""

    def __init__(self, curl: str, gateway: Gateway) -> None:
        self._gateway = gateway
        self._case = gateway.open_case(f"CS-{secrets.token_hex(4)}")
        self._base = [curl, "-sS", "--max-time", "60", "--cacert", str(gateway.ca)]
        self._base += ["-H", f"Authorization: Bearer {gateway.upload_token(self._case)}", "-H", "Tus-Resumable: 1.0.0"]
        self._url = gateway.url

    def attachment(self) -> dict[str, Any]:
        """The one attachment of the case."""
        (found,) = self._gateway.attachments(self._case)
        return found

    def command(self, *arguments: str, path: str = "/files") -> list[str]:
        return [*self._base, *arguments, self._url + path]

    def __call__(self, *arguments: str, path: str = "/files") -> tuple[int, dict[str, str], bytes]:
        done = subprocess.run(self.command("-i", *arguments, path=path), capture_output=True, check=True, timeout=90)
        rest = done.stdout
        while True:
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                return status, {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}, rest

    def offset(self, path: str) -> int:
        status, headers, _ = self("--head", path=path)
        assert status == 200
        return int(headers["upload-offset"])


@pytest.fixture
def curl(gateway: Gateway, program: Callable[[str], str]) -> Curl:
    return Curl(program("curl"), gateway)


def part(source: Path, offset: int) -> tuple[str, ...]:
    return (
        *("-X", "PATCH", "-T", str(source)),
        *("-H", "Content-Type: application/offset+octet-stream", "-H", f"Upload-Offset: {offset}"),
    )


def test_a_large_file_arrives_and_comes_back_byte_for_byte(curl: Curl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(40 * MIB + 1))
    status, headers, _ = curl("-X", "POST", "-H", f"Upload-Length: {source.stat().st_size}")
    assert status == 201
    path = headers["location"]
    assert re.fullmatch(r"/files/[0-9a-f]{32}", path)
    assert curl(*part(source, 0), path=path)[0] == 204
    back = tmp_path / "back"
    subprocess.run(curl.command("-o", str(back), path=path), check=True, timeout=60)
    assert back.read_bytes() == source.read_bytes()
    resumed = tmp_path / "resumed"
    resumed.write_bytes(source.read_bytes()[: 7 * MIB])
    subprocess.run(curl.command("-C", "-", "-o", str(resumed), path=path), check=True, timeout=60)
    assert resumed.read_bytes() == source.read_bytes()
    assert curl.attachment()["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_chunked_body_with_a_deferred_length_arrives(curl: Curl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 * MIB + 7))
    path = curl("-X", "POST", "-H", "Upload-Defer-Length: 1")[1]["location"]
    assert curl(*part(source, 0), "-H", "Transfer-Encoding: chunked", path=path)[0] == 204
    size = source.stat().st_size
    empty = tmp_path / "empty"
    empty.touch()
    assert curl(*part(empty, size), "-H", f"Upload-Length: {size}", path=path)[0] == 204
    assert curl.attachment()["size"] == size


def test_a_client_that_is_killed_goes_on_on_any_worker(curl: Curl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(32 * MIB))
    path = curl("-X", "POST", "-H", f"Upload-Length: {source.stat().st_size}")[1]["location"]
    slow = subprocess.Popen(curl.command(*part(source, 0), "--limit-rate", "20M", path=path))
    time.sleep(0.7)
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    offset = curl.offset(path)
    assert 0 < offset < source.stat().st_size
    rest = tmp_path / "rest"
    while offset < source.stat().st_size:
        rest.write_bytes(source.read_bytes()[offset : offset + 4 * MIB])
        assert curl(*part(rest, offset), path=path)[0] == 204
        offset = curl.offset(path)
    assert curl.attachment()["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_writer_at_work_is_displaced_by_one_on_another_worker(curl: Curl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(32 * MIB))
    path = curl("-X", "POST", "-H", f"Upload-Length: {source.stat().st_size}")[1]["location"]
    told = tmp_path / "told"
    command = curl.command(*part(source, 0), "--limit-rate", "4M", "-o", str(told), path=path)
    slow = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(1)
    began = time.monotonic()
    offsets = [curl.offset(path) for _ in range(4)]
    assert time.monotonic() - began < 4
    assert 0 < offsets[0] < source.stat().st_size
    assert offsets == [offsets[0]] * 4
    slow.wait(20)
    assert json.loads(told.read_bytes())["code"] == "writer-displaced"
    rest = tmp_path / "rest"
    rest.write_bytes(source.read_bytes()[offsets[0] :])
    assert curl(*part(rest, offsets[0]), path=path)[0] == 204
    assert curl.attachment()["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_refusal_is_seen_although_the_body_is_large(curl: Curl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(256 * MIB)
    path = curl("-X", "POST", "-H", "Upload-Length: 5")[1]["location"]
    status, _, body = curl(*part(source, 0), "-H", "Expect:", path=path)
    assert (status, json.loads(body)["code"]) == (413, "length-exceeded")
