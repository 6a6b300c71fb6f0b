"""The IETF draft as plain curl can speak it: whatever is a header field, a method and a body."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
import hashlib
import os
from pathlib import Path
import secrets
import signal
import subprocess
import time

import pytest

from tests.fixtures.gateway import Gateway

pytestmark = [pytest.mark.needs("curl"), pytest.mark.timeout(300)]

MIB = 1024 * 1024
VERSIONS = [3, 5, 6, 9]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us", workers=2).start()
    yield made
    made.stop()


class Curl:
    """curl with a token of a case of its own, in one interop version; None: it names none."""

    def __init__(self, curl: str, gateway: Gateway, version: int | None) -> None:
        self._gateway = gateway
        self._case = gateway.open_case(f"CS-{secrets.token_hex(4)}")
        self.version = version
        self._base = [curl, "-sS", "--max-time", "120", "--cacert", str(gateway.ca)]
        self._base += ["-H", f"Authorization: Bearer {gateway.upload_token(self._case)}"]
        self._base += [] if version is None else ["-H", f"Upload-Draft-Interop-Version: {version}"]

    def attachments(self) -> list[tuple[str, str]]:
        """Names and digests."""
        return [(item["name"], item["sha256"]) for item in self._gateway.attachments(self._case)]

    def completeness(self, complete: bool) -> str:
        if self.version == 3:
            return f"Upload-Incomplete: ?{int(not complete)}"
        return f"Upload-Complete: ?{int(complete)}"

    def command(self, *arguments: str, path: str) -> list[str]:
        return [*self._base, *arguments, self._gateway.url + path]

    def __call__(self, *arguments: str, path: str = "/files") -> tuple[int, dict[str, str], list[int]]:
        """Status and fields of the final answer, and the interim ones."""
        done = subprocess.run(self.command("-i", *arguments, path=path), capture_output=True, check=True, timeout=150)
        rest, interim = done.stdout, []
        while True:
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                return status, {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}, interim
            interim.append(status)

    def part(self, source: Path, offset: int, *, complete: bool) -> tuple[str, ...]:
        fields = ("Content-Type: application/partial-upload", f"Upload-Offset: {offset}", self.completeness(complete))
        return ("-X", "PATCH", "-T", str(source), *(part for field in fields for part in ("-H", field)))


@pytest.fixture
def make_curl(gateway: Gateway, program: Callable[[str], str]) -> Callable[[int | None], Curl]:
    return lambda version: Curl(program("curl"), gateway, version)


def random_file(path: Path, size: int) -> tuple[Path, bytes]:
    data = os.urandom(size)
    path.write_bytes(data)
    return path, data


def repr_digest(data: bytes) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(data).digest()).decode()}:"


@pytest.mark.parametrize(("version", "method"), [(None, "POST"), (None, "PUT"), *((each, "PUT") for each in VERSIONS)])
def test_a_file_in_one_request(make_curl, tmp_path: Path, version: int | None, method: str) -> None:
    curl = make_curl(version)
    source, data = random_file(tmp_path / "source", 3 * MIB + 1)
    named = ("-H", "Content-Disposition: attachment; filename=\"x.log\"; filename*=UTF-8''%C3%A4.log")
    status, headers, interim = curl("-X", method, "-T", str(source), "-H", curl.completeness(True), *named)
    assert (status, headers["repr-digest"]) == (201, repr_digest(data))
    assert (104 in interim) is (version is not None)
    assert curl.attachments() == [("ä.log", hashlib.sha256(data).hexdigest())]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_in_parts_the_first_of_them_empty(make_curl, tmp_path: Path, version: int) -> None:
    curl = make_curl(version)
    path = curl("-X", "POST", "-H", curl.completeness(False))[1]["location"]
    whole = b""
    for number in range(3):
        source, data = random_file(tmp_path / "source", 500_000 + number)
        status, headers, _ = curl(*curl.part(source, len(whole), complete=number == 2), path=path)
        whole += data
        assert status == (201 if version <= 6 else 204 if number < 2 else 200)
        head = curl("--head", path=path)
        assert (head[0], head[1]["upload-offset"]) == (204, str(len(whole)))
    assert headers["repr-digest"] == repr_digest(whole)
    (attachment,) = curl.attachments()
    assert attachment[1] == hashlib.sha256(whole).hexdigest()


def test_a_killed_creation_goes_on_where_the_interim_answer_said(make_curl, tmp_path: Path) -> None:
    curl = make_curl(9)
    source, data = random_file(tmp_path / "source", 24 * MIB)
    told = tmp_path / "told"
    sent = ("-X", "POST", "-T", str(source), "-H", curl.completeness(True), "--limit-rate", "8M", "-D", str(told))
    slow = subprocess.Popen(curl.command(*sent, path="/files"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not told.exists() or b"\r\nUpload-Offset: " not in told.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    path = told.read_text().partition("Location: ")[2].split()[0]
    _, headers, _ = curl("--head", path=path)
    offset = int(headers["upload-offset"])
    assert (0 < offset < len(data), headers["upload-complete"], headers["upload-length"]) == (True, "?0", str(len(data)))
    rest = tmp_path / "rest"
    rest.write_bytes(data[offset:])
    status, headers, _ = curl(*curl.part(rest, offset, complete=True), path=path)
    assert (status, headers["repr-digest"]) == (200, repr_digest(data))


def test_what_is_refused_says_so_to_curl(make_curl, tmp_path: Path) -> None:
    curl = make_curl(9)
    source, _ = random_file(tmp_path / "source", 1000)
    path = curl("-X", "POST", "-H", curl.completeness(False), "-H", "Upload-Length: 1000")[1]["location"]
    status, headers, _ = curl(*curl.part(source, 5, complete=True), path=path)
    assert (status, headers["upload-offset"], headers["upload-complete"]) == (409, "0", "?0")
    wrong = ("-H", f"Content-Digest: {repr_digest(b'other')}")
    status, headers, _ = curl(*curl.part(source, 0, complete=True), *wrong, path=path)
    assert (status, headers["upload-complete"]) == (400, "?0")
    assert curl("-X", "DELETE", path=path)[0] == 204
    assert curl("--head", path=path)[0] == 410
    status, headers, _ = curl("-X", "OPTIONS")
    assert (status, headers["upload-limit"]) == (200, "min-size=0")
