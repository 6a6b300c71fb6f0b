"""Before the gateway answers, the bytes and what names them are on stable storage: seen in the system calls of a real one.

`kill -9` does not show a missing fsync, and the simulated disk knows only what goes through its port. Here strace watches `eft
serve` while clients use both doors: at the first byte of each answer no change of a segment file, of the key store or of their
directories may wait for its sync, and the database's log has been synced since the request's last byte came.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
import hashlib
import http.client
import shutil
import socket
import time

import paramiko
import pytest

from tests.crash.system_calls import RECEIVES, SENDS, SYNCS, Call, calls, changes_not_synced, traced_by
from tests.fixtures.gateway import Gateway

pytestmark = [pytest.mark.needs("strace"), pytest.mark.timeout(180)]

CASE = "CS-1"
PAUSE_S = 0.3
"""Long enough for all that came before to be done, and shorter than the second after which bytes are committed anyway."""

CONTENT = bytes(range(256)) * 1024


@dataclass(frozen=True)
class Asked:
    """The last byte of a request, which was sent from this port at this instant."""

    what: str
    port: int
    at: float
    expects_row: bool = True


class Https:
    """A client that waits before it sends the last byte of a body."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.token = gateway, gateway.upload_token(CASE)
        self.connection = http.client.HTTPSConnection("localhost", gateway.https_port, context=gateway.trust(), timeout=30)
        self.asked: list[Asked] = []
        self.ask("OPTIONS", "/files", what="")

    def ask(
        self, method: str, path: str, body: bytes = b"", *, what: str, row: bool = True, **headers: str
    ) -> http.client.HTTPResponse:
        self.connection.putrequest(method, path)
        told = {"Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0", "Content-Length": str(len(body)), **headers}
        for name, value in told.items():
            self.connection.putheader(name.replace("_", "-"), value)
        if body:
            self.connection.endheaders(body[:-1])
            time.sleep(PAUSE_S)
        port, at = self.connection.sock.getsockname()[1] if self.connection.sock else 0, time.time()
        if body:
            self.connection.send(body[-1:])
        else:
            self.connection.endheaders()
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status < 300, (what, answer.status)
        if what:
            self.asked.append(Asked(what, port, at, row))
        time.sleep(PAUSE_S)
        return answer

    def create(self, name: str, length: int, body: bytes = b"", *, what: str) -> str:
        told = {"Upload_Length": str(length), "Upload_Metadata": f"filename {b64encode(name.encode()).decode()}"}
        if body:
            told["Content_Type"] = "application/offset+octet-stream"
        return str(self.ask("POST", "/files", body, what=what, **told).headers["Location"])

    def patch(self, path: str, offset: int, body: bytes, *, what: str, row: bool = True, **headers: str) -> None:
        told = {"Upload_Offset": str(offset), "Content_Type": "application/offset+octet-stream", **headers}
        self.ask("PATCH", path, body, what=what, row=row, **told)


def over_https(gateway: Gateway) -> list[Asked]:
    client = Https(gateway)
    path = client.create("large.bin", len(CONTENT), what="POST that creates")
    client.patch(path, 0, CONTENT[:100_000], what="first PATCH")
    client.patch(path, 100_000, CONTENT[100_000:150_000], what="second PATCH", row=False)
    part = CONTENT[150_000:200_000]
    checksum = "sha256 " + b64encode(hashlib.sha256(part).digest()).decode()
    client.patch(path, 150_000, part, what="PATCH with a checksum", row=False, Upload_Checksum=checksum)
    client.patch(path, 200_000, CONTENT[200_000:], what="last PATCH")
    client.create("small.bin", 1000, CONTENT[:1000], what="POST of a small file")
    client.create("whole.bin", 100_000, CONTENT[:100_000], what="POST of a large file")
    begun = client.create("begun.bin", 200_000, CONTENT[:100_000], what="POST with the first part")
    client.ask("DELETE", begun, what="DELETE")
    return client.asked


def over_sftp(gateway: Gateway) -> list[Asked]:
    account = gateway.call("POST", f"cases/{CASE}/sftp-account")
    asked = []
    with socket.create_connection(("127.0.0.1", gateway.sftp_port)) as connection, paramiko.Transport(connection) as transport:
        transport.connect(username=account["username"], password=account["password"])
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        for name, size in (("large.log", 200_000), ("small.log", 1000), ("empty.log", 0)):
            file = client.open(name, "wb")
            file.write(CONTENT[:size])
            time.sleep(PAUSE_S)
            asked.append(Asked(f"CLOSE of {name}", connection.getsockname()[1], time.time()))
            file.close()
            time.sleep(PAUSE_S)
    return asked


@dataclass
class Watched:
    """A gateway's life in system calls, and what was asked of it."""

    root: str
    trace: list[Call]
    asked: list[Asked]

    def answer_to(self, asked: Asked) -> tuple[Call, Call]:
        """The call that took in the last byte of the request, and the one that sent the first of the answer."""
        peer = f":{asked.port}]"
        mine = [call for call in self.trace if call.at >= asked.at and call.target.endswith(peer) and not call.failed]
        taken = next(call for call in mine if call.name in RECEIVES)
        sent = next(call for call in mine if call.name in SENDS and call.began > taken.began)
        return taken, sent


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp("traced")
    output = directory / "trace"
    gateway = Gateway(directory / "eft", before=traced_by(program("strace"), output))
    gateway.start()
    try:
        gateway.open_case(CASE)
        asked = [*over_https(gateway), *over_sftp(gateway)]
    finally:
        gateway.stop()
    yield Watched(str((directory / "eft" / "data").resolve()), calls(output), asked)
    shutil.rmtree(directory)


def test_every_door_was_asked_for_everything_that_is_acknowledged(watched: Watched) -> None:
    assert len(watched.asked) == 12


def test_no_answer_is_sent_while_a_change_of_a_file_or_directory_waits_for_its_sync(watched: Watched) -> None:
    for asked in watched.asked:
        _, sent = watched.answer_to(asked)
        for below in ("segments", "keys"):
            waiting = list(changes_not_synced(watched.trace, sent.began, f"{watched.root}/us/{below}"))
            assert not waiting, f"{asked.what}: {waiting[0]}"


def test_what_is_in_the_database_is_in_its_synced_log_before_the_answer(watched: Watched) -> None:
    for asked in watched.asked:
        taken, sent = watched.answer_to(asked)
        synced = [c for c in watched.trace if c.name in SYNCS and c.target.endswith("eft.db-wal") and not c.failed]
        assert not asked.expects_row or any(taken.began < c.began and c.ended < sent.began for c in synced), asked.what


def test_a_part_is_synced_between_its_last_byte_and_its_answer(watched: Watched) -> None:
    for asked in watched.asked:
        if "PATCH" in asked.what or "large" in asked.what:
            taken, sent = watched.answer_to(asked)
            synced = [c for c in watched.trace if c.name == "fdatasync" and c.target.endswith(".seg") and not c.failed]
            assert any(taken.began < c.began and c.ended < sent.began for c in synced), asked.what
