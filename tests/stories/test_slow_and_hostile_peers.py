"""Peers that are slow, silent, greedy or many, and workers that are stopped under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
import os
from pathlib import Path
import resource
import secrets
import signal
import socket
import ssl
import subprocess
import time

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.conftest import gateways
from tests.stories.contents import MIB, Source, dense, noise, sha256
from tests.stories.tus_customer import GONE, Refused, TusCustomer, Upload, customer_of

Program = Callable[[str], str]

_KIB = 1024


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose minimum rate is looked at every two seconds, with one worker."""
    with gateways(tmp_path_factory) as make:
        gateway = make()
        text = gateway.config.read_text()
        gateway.config.write_text(
            text.replace("[https]\n", "[https]\nminimum_rate_bytes_s = 4096\nminimum_rate_window_s = 2\nkeep_alive_s = 600\n")
        )
        yield gateway.start()


def connect(gateway: Gateway, trust: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", gateway.https_port), timeout=30)
    return trust.wrap_socket(raw, server_hostname="localhost")


def begun_patch(customer: TusCustomer, path: str, offset: int, size: int) -> bytes:
    fields = {
        "Host": "localhost",
        **customer._headers,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Content-Length": str(size),
    }
    return f"PATCH {path} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields.items()) + b"\r\n"


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * _KIB
    raise AssertionError("no VmRSS")


def new_customer(gateway: Gateway) -> TusCustomer:
    return customer_of(gateway, gateway.open_case(f"CS-{secrets.token_hex(4)}"))


def test_a_sender_that_falls_silent_is_told_and_what_came_is_kept(impatient: Gateway) -> None:
    case = impatient.open_case(f"CS-{secrets.token_hex(4)}")
    customer = customer_of(impatient, case)
    data = noise(1, MIB)
    path = customer.create("a.log", len(data))
    with connect(impatient, impatient.trust()) as peer:
        peer.sendall(begun_patch(customer, path, 0, len(data)) + data[:300_000])
        began = time.monotonic()
        answer = peer.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"body-too-slow" in answer
        assert 1.5 < time.monotonic() - began < 6
    assert customer.offset(path) == 300_000
    assert customer.patch(path, 300_000, data[300_000:], len(data) - 300_000) == len(data)
    (attachment,) = impatient.attachments(case)
    assert attachment["sha256"] == sha256(data)


def test_a_sender_that_is_slow_but_steady_is_left_alone(impatient: Gateway) -> None:
    customer = new_customer(impatient)
    path = customer.create("a.log", 60_000)
    with connect(impatient, impatient.trust()) as peer:
        peer.sendall(begun_patch(customer, path, 0, 60_000))
        for _ in range(60):
            peer.sendall(b"x" * 1000)
            time.sleep(0.1)
        assert peer.recv(65536).startswith(b"HTTP/1.1 204 ")


def many_idle(gateway: Gateway, count: int) -> float:
    """Bytes of the worker's memory for each of so many connections that ask nothing, after one request on each."""
    (pid,) = gateway.worker_pids()
    trust = gateway.trust()
    ask = b"OPTIONS /files HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        warm = [stack.enter_context(connect(gateway, trust)) for _ in range(50)]
        for peer in warm:
            peer.sendall(ask)
            assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
        before = resident_bytes(pid)
        peers = []
        for _ in range(count):
            peer = stack.enter_context(connect(gateway, trust))
            peer.sendall(ask)
            assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
            peers.append(peer)
        each = (resident_bytes(pid) - before) / count
        # All of them are alive, and a customer who works is not in anybody's way.
        customer = new_customer(gateway)
        began = time.monotonic()
        customer.create("a.log", 10, b"0123456789")
        assert time.monotonic() - began < 2
        for peer in (peers[0], peers[count // 2], peers[-1]):
            peer.sendall(ask)
            assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
    return each


def test_a_thousand_idle_connections_cost_little_memory(impatient: Gateway) -> None:
    each = many_idle(impatient, 1000)
    assert each < 512 * _KIB, f"{each / _KIB:.0f} KiB for each"


@pytest.mark.soak
def test_ten_thousand_idle_connections_are_held_by_one_worker(impatient: Gateway) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 11_000, "raise the limit of open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        each = many_idle(impatient, 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert each < 512 * _KIB, f"{each / _KIB:.0f} KiB for each"


def uploads_at_once(gateway: Gateway, count: int, size: int) -> None:
    """So many uploads that are all under way before any of them is finished; every one arrives whole."""
    case = gateway.open_case(f"CS-{secrets.token_hex(4)}")
    customer = customer_of(gateway, case)
    trust = gateway.trust()
    paths = [customer.create(f"{number}.log", size) for number in range(count)]
    with ExitStack() as stack:

        def begin(number: int) -> ssl.SSLSocket:
            peer = connect(gateway, trust)
            peer.sendall(begun_patch(customer, paths[number], 0, size) + noise(number, size)[: size // 2])
            return peer

        def end(number: int) -> bytes:
            peers[number].sendall(noise(number, size)[size // 2 :])
            return peers[number].recv(12)

        with ThreadPoolExecutor(8) as pool:
            peers = list(pool.map(begin, range(count)))
            for peer in peers:
                stack.enter_context(peer)
            assert set(pool.map(end, range(count))) == {b"HTTP/1.1 204"}
    digests = {item["name"]: item["sha256"] for item in gateway.attachments(case)}
    assert digests == {f"{number}.log": sha256(noise(number, size)) for number in range(count)}


def test_a_hundred_uploads_at_once_all_arrive(impatient: Gateway) -> None:
    uploads_at_once(impatient, 100, 200_000)


@pytest.mark.soak
def test_a_thousand_uploads_at_once_all_arrive(shared_gateway: Gateway) -> None:
    if not shared_gateway.is_ready():
        shared_gateway.start()
    uploads_at_once(shared_gateway, 1000, 1_000_000)


def stop_a_worker(gateway: Gateway, pid: int) -> None:
    """SIGTERM to one worker, as for a restart of one after the other; returns when it has ended and another serves."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while pid in gateway.worker_pids() or not gateway.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_are_restarted_one_after_the_other_under_a_customer_who_sends(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway(workers=2).start()
    case = gateway.open_case()
    upload = Upload("large.log", dense(tmp_path / "large", 5, 48 * MIB))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_slowly, customer_of(gateway, case), upload)
        for pid in gateway.worker_pids():
            time.sleep(0.5)
            stop_a_worker(gateway, pid)
        told = sending.result(120)
    assert all(code in (None, "stopping", "offset-mismatch") for code in told), told
    (attachment,) = gateway.attachments(case)
    assert attachment["sha256"] == upload.source.sha256
    assert "worker.killed" not in gateway.log.read_text()


def send_slowly(customer: TusCustomer, upload: Upload) -> list[str | None]:
    """One PATCH for all that is left, at about 3 MiB/s; goes on after every interruption. What the interruptions were."""
    told: list[str | None] = []
    path = upload.path = customer.create(upload.name, upload.source.size)

    def pieces(source: Source, start: int) -> Iterator[bytes]:
        for piece in source.pieces(start, source.size, 256 * _KIB):
            time.sleep(0.08)
            yield piece

    while not upload.finished:
        try:
            customer.resume(upload)
            left = upload.source.size - upload.acknowledged
            if left:
                customer.patch(path, upload.acknowledged, pieces(upload.source, upload.acknowledged), left)
            upload.finished = True
        except Refused as refused:
            told.append(refused.code)
        except GONE:
            told.append(None)
            time.sleep(0.1)
        assert len(told) < 50
    return told


@pytest.mark.needs("curl")
def test_curl_is_told_when_the_gateway_stops_and_goes_on_after_its_start(
    make_gateway: Callable[..., Gateway], program: Program, tmp_path: Path
) -> None:
    gateway = make_gateway().start()
    case = gateway.open_case()
    customer = customer_of(gateway, case)
    source = dense(tmp_path / "large", 6, 60 * MIB)
    path = customer.create("large.log", source.size)
    command = [program("curl"), "-sS", "-i", "--max-time", "60", "--cacert", str(gateway.ca), "--limit-rate", "4M", "-X", "PATCH"]
    for name, value in {**customer._headers, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}.items():
        command += ["-H", f"{name}: {value}"]
    curl = subprocess.Popen(
        [*command, "-T", str(source.path), gateway.url + path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(2)
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 10
    answer, _ = curl.communicate(timeout=30)
    assert b"HTTP/1.1 503" in answer
    assert b'"stopping"' in answer
    gateway.start()
    customer.hang_up()
    offset = customer.offset(path)
    assert offset > 12 * MIB
    rest = source.size - offset
    assert customer.patch(path, offset, source.pieces(offset, source.size), rest) == source.size
    (attachment,) = gateway.attachments(case)
    assert attachment["sha256"] == source.sha256
