"""A customer sends diagnostic data over HTTPS, the gateway is killed meanwhile, and support finds every file whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import hashlib
from pathlib import Path
import subprocess
from threading import Event
import time
from typing import Any
import urllib.request

import pytest
import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader import Uploader

from tests.fixtures.gateway import Gateway
from tests.stories.contents import MIB, Source, dense, noise, sha256, sparse
from tests.stories.sftp_customer import sftp_customer
from tests.stories.tus_customer import TusCustomer, Upload, customer_of
from tests.stories.waiting import listed, refusal, unfinished, until

pytestmark = [pytest.mark.needs("curl"), pytest.mark.timeout(280)]

GIB = 1024 * MIB
Program = Callable[[str], str]


class Tuspy:
    """tuspy, with a SHA-1 for every part, as a script at a customer's would use it."""

    def __init__(self, gateway: Gateway, token: str, source: Source, told_to_go_on: Event) -> None:
        self._source, self._told_to_go_on = source, told_to_go_on
        self._client = TusClient(f"{gateway.url}/files", headers={"Authorization": f"Bearer {token}"})
        self._url: str | None = None
        self.acknowledged = 0
        self.lost = 0

    def send(self) -> None:
        """Takes its time, until the gateway has been away once; then goes on when it is told."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return self._go_on(0.0 if self.lost else 0.5)
            except (TusCommunicationError, requests.RequestException):
                self.lost += 1
                assert time.monotonic() < deadline
                assert self._told_to_go_on.wait(120)
                time.sleep(0.2)

    def _go_on(self, pause_s: float) -> None:
        uploader = self._uploader()
        if self._url is None:
            uploader.set_url(uploader.create_url())
            self._url = uploader.url
        assert uploader.offset >= self.acknowledged
        while uploader.offset < self._source.size:
            uploader.upload_chunk()
            self.acknowledged = uploader.offset
            time.sleep(pause_s)

    def _uploader(self) -> Uploader:
        name = self._source.path.name
        return self._client.uploader(
            str(self._source.path), url=self._url, chunk_size=2 * MIB, metadata={"filename": name}, upload_checksum=True
        )


class Curl:
    """One PATCH for all that is left, as `curl -T` does it; the rest comes from a pipe."""

    def __init__(self, curl: str, customer: TusCustomer, source: Source, told_to_go_on: Event) -> None:
        self._customer, self._source, self._told_to_go_on = customer, source, told_to_go_on
        self._upload = Upload(source.path.name, source, customer.create(source.path.name, source.size))
        self._curl = [curl, "-sS", "-f", "-o", "/dev/null", "--max-time", "120", "--cacert", str(customer.gateway.ca)]
        self.lost = 0

    def send(self) -> None:
        """Takes its time, until the gateway has been away once; then goes on when it is told."""
        deadline = time.monotonic() + 120
        while not self._upload.finished:
            try:
                self._customer.resume(self._upload)
                if self._patch("100M" if self.lost else "1M") == 0:
                    self._upload.acknowledged = self._source.size
                    self._customer.resume(self._upload)
                    return
            except (OSError, subprocess.SubprocessError):
                pass
            self.lost += 1
            assert time.monotonic() < deadline
            assert self._told_to_go_on.wait(120)
            time.sleep(0.2)

    def _patch(self, rate: str) -> int:
        headers = (
            f"Authorization: Bearer {self._customer.token}",
            "Tus-Resumable: 1.0.0",
            "Content-Type: application/offset+octet-stream",
            f"Upload-Offset: {self._upload.acknowledged}",
        )
        command = [*self._curl, *(word for header in headers for word in ("-H", header)), "--limit-rate", rate]
        command += ["-X", "PATCH", "-T", "-", f"{self._customer.gateway.url}{self._upload.path}"]
        with self._source.path.open("rb") as file:
            file.seek(self._upload.acknowledged)
            return subprocess.run(command, stdin=file, timeout=130, stderr=subprocess.DEVNULL).returncode


def content(gateway: Gateway, attachment: dict[str, Any], range_: str | None = None) -> Any:
    """A download over the control API, as an open answer."""
    request = urllib.request.Request(f"{gateway.url}/api/v1/attachments/{attachment['id']}/content")
    request.add_header("Authorization", f"Bearer {gateway.api_token}")
    if range_ is not None:
        request.add_header("Range", f"bytes={range_}")
    return urllib.request.urlopen(request, context=gateway.trust(), timeout=60)


def check_download(gateway: Gateway, attachment: dict[str, Any], source: Source) -> None:
    """The whole of it, and ranges within blocks, across them, from the end."""
    digest = hashlib.sha256()
    with content(gateway, attachment) as answer:
        while piece := answer.read(MIB):
            digest.update(piece)
    assert digest.hexdigest() == source.sha256
    size = source.size
    for start, stop in (
        (0, 1),
        (65_535, 65_537),
        (size // 2 - 70_000, size // 2 + 70_000),
        (size - 1, size),
        (97 * MIB, 97 * MIB + 70_000),
    ):
        stop = min(stop, size)
        if start < stop:
            with content(gateway, attachment, f"{start}-{stop - 1}") as answer:
                assert (answer.status, answer.read()) == (206, source.read(start, stop))
    with content(gateway, attachment, "-4097") as answer:
        assert answer.read() == source.read(size - 4097, size)


def several_at_once(gateway: Gateway, case: str, curl: str, work: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One large upload, three of tuspy and one of curl run at the same time; the gateway is killed in the middle of all."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(gateway.ca))
    token = gateway.upload_token(case)
    core = sparse(work / "core", size)
    logs = [dense(work / f"log-{number}", number, 60 * MIB + number) for number in range(3)]
    trace = dense(work / "trace", 9, 40 * MIB + 1)

    large = Upload("core", core)
    go_on = Event()
    by_tuspy = [Tuspy(gateway, token, log, go_on) for log in logs]
    by_curl = Curl(curl, TusCustomer(gateway, token), trace, go_on)
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(TusCustomer(gateway, token).send_through_anything, large, part=64 * MIB)]
        running += [pool.submit(customer.send) for customer in by_tuspy]
        running += [pool.submit(by_curl.send)]
        until(
            lambda: (large.acknowledged, *(each.acknowledged for each in by_tuspy)),
            lambda seen: seen[0] >= size // 4 and min(seen) > 0,
            within_s=60,
        )
        known = {name: upload["offset"] for name, upload in unfinished(gateway, case).items()}
        gateway.kill()
        acknowledged = large.acknowledged
        gateway.start()
        now = unfinished(gateway, case)
        assert now.keys() == {"core", "log-0", "log-1", "log-2", "trace"}
        assert now["core"]["offset"] >= acknowledged >= size // 4
        assert all(now[name]["offset"] >= offset for name, offset in known.items() if name != "trace")
        assert gateway.attachments(case) == []
        go_on.set()
        for each in running:
            each.result(240)
    assert all(customer.lost for customer in by_tuspy)
    assert by_curl.lost

    found = listed(gateway, case)
    assert len(gateway.attachments(case)) == len(found) == 5
    for source in (core, trace, *logs):
        item = found[source.path.name]
        assert (item["size"], item["sha256"]) == (source.size, source.sha256)
        assert (item["source"], item["completeness"], item["state"]) == ("https", "declared", "available")
    assert unfinished(gateway, case) == {}
    check_download(gateway, found["core"], core)
    check_download(gateway, found["log-1"], logs[1])


def test_several_at_once_go_on_after_a_kill_of_the_gateway(
    gateway: Gateway, case: str, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_at_once(gateway, case, program("curl"), tmp_path, GIB + 100 * MIB + 7, monkeypatch)


@pytest.mark.soak
def test_five_gibibytes_among_others_go_on_after_a_kill_of_the_gateway(
    gateway: Gateway, case: str, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_at_once(gateway, case, program("curl"), tmp_path, 5 * GIB + 3, monkeypatch)


def test_a_thousand_small_files(gateway: Gateway, case: str) -> None:
    token = gateway.upload_token(case)
    files = {f"etc/{number // 100}/{number}.conf": noise(number, number * 7 % 5000) for number in range(1000)}

    def send(some: list[str]) -> None:
        customer = TusCustomer(gateway, token)
        for name in some:
            customer.create(name, len(files[name]), files[name], sha256=sha256(files[name]))
        customer.hang_up()

    names = list(files)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, (names[start::4] for start in range(4))))
    assert {name: item["sha256"] for name, item in listed(gateway, case).items()} == {
        name: sha256(data) for name, data in files.items()
    }
    assert len(gateway.attachments(case)) == 1000


def test_support_hands_a_file_back(gateway: Gateway, case: str, tmp_path: Path) -> None:
    patch = dense(tmp_path / "patch", 5, 3 * MIB + 5)
    given = gateway.call("POST", f"cases/{case}/attachments?name=fixes/patch%20%E2%9C%93.bin", patch.path.read_bytes())
    assert (given["name"], given["source"], given["size"]) == ("fixes/patch ✓.bin", "support", patch.size)
    assert given["sha256"] == patch.sha256
    customer = customer_of(gateway, case)
    status, headers, body = customer.request("GET", f"/files/{given['id']}")
    assert (status, body) == (200, patch.path.read_bytes())
    status, headers, body = customer.request("GET", f"/files/{given['id']}", {"Range": "bytes=65535-65536"})
    assert (status, body) == (206, patch.read(65_535, 65_537))
    assert headers["Content-Range"] == f"bytes 65535-65536/{patch.size}"


@pytest.mark.needs("sftp")
def test_what_support_sends_in_parts_is_seen_by_the_customer_after_a_kill(gateway: Gateway, case: str, tmp_path: Path) -> None:
    image = dense(tmp_path / "image", 6, 8 * MIB + 1)
    support = TusCustomer(gateway, gateway.upload_token(case, source="support"))
    upload = Upload("image.bin", image)
    support.send_part(upload, 5 * MIB, checksum=True)
    gateway.kill()
    gateway.start()
    assert gateway.attachments(case) == []
    support.hang_up()
    support.resume(upload)
    support.send(upload, part=2 * MIB)
    assert [item["source"] for item in gateway.attachments(case)] == ["support"]
    sftp_customer(gateway, case, tmp_path).ok(f"get from-support/image.bin {tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == image.path.read_bytes()


def test_a_part_that_arrives_damaged_leaves_the_offset(gateway: Gateway, case: str, tmp_path: Path) -> None:
    log = dense(tmp_path / "log", 1, 3 * MIB)
    customer = customer_of(gateway, case)
    upload = Upload("log", log)
    customer.send_part(upload, MIB, checksum=True)
    told = {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(MIB),
        "Upload-Checksum": "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    }
    status, _, _ = customer.request("PATCH", str(upload.path), told, log.read(MIB, 2 * MIB))
    assert status == 460
    gateway.kill()
    gateway.start()
    customer.hang_up()
    assert customer.offset(str(upload.path)) == MIB
    customer.send(upload, part=MIB, checksum=True)
    assert listed(gateway, case)["log"]["sha256"] == log.sha256


def test_a_whole_that_is_not_what_was_declared_is_never_shown(gateway: Gateway, case: str) -> None:
    customer = customer_of(gateway, case)
    data = noise(3, 300_000)
    path = customer.create("config", len(data), sha256=sha256(b"something else"))
    told = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    status, _, _ = customer.request("PATCH", path, told, data)
    assert status == 422
    gateway.kill()
    gateway.start()
    assert gateway.attachments(case) == []
    assert unfinished(gateway, case)["config"]["state"] == "refused"
    assert refusal(gateway, "GET", f"attachments/{path.rpartition('/')[2]}/content") == (404, "not-found")


def test_tuspy_itself_goes_on_where_it_stopped(
    gateway: Gateway, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tuspy's own retries outlast a restart of the gateway; the script that uses it sees nothing."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(gateway.ca))
    log = dense(tmp_path / "log", 2, 24 * MIB)
    client = TusClient(f"{gateway.url}/files", headers={"Authorization": f"Bearer {gateway.upload_token(case)}"})
    uploader = client.uploader(
        str(log.path), chunk_size=MIB, metadata={"filename": "log"}, retries=40, retry_delay=0.5, upload_checksum=True
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(uploader.upload)
        until(lambda: uploader.offset, lambda offset: offset >= 4 * MIB)
        gateway.kill()
        gateway.start()
        running.result(100)
    assert listed(gateway, case)["log"]["sha256"] == log.sha256
