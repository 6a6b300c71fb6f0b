"""A server whose machine stood still for a while, as one that was asleep or moved: who asked in time is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import multiprocessing
from multiprocessing.connection import Connection
import os
from pathlib import Path
import signal
import time

import pytest

from eft.http_resumable.limits import Limits
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from tests.fixtures.tls import Certificates, Peer, running_server

SECONDS = 1.5
ASKED = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def handler(request: Request) -> Response:
    return Response(200, (), b"".join([piece async for piece in request.body]))


def serve_until_told(certificates: Certificates, parent: Connection) -> None:
    limits = Limits(sweep_s=0.05, head_s=SECONDS, keep_alive_s=SECONDS, minimum_rate=1000, body_window_s=SECONDS)
    with running_server(handler, certificates, limits) as server:
        parent.send(server.port)
        parent.recv()


class Machine:
    """A server in a process of its own."""

    def __init__(self, pid: int, port: int, certificates: Certificates) -> None:
        self._pid, self._port, self._certificates = pid, port, certificates

    def peer(self) -> Peer:
        return Peer(self._port, self._certificates, timeout=60)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
            time.sleep(2 * SECONDS)
        finally:
            os.kill(self._pid, signal.SIGCONT)


@pytest.fixture
def machine(certificates: Certificates, tmp_path: Path) -> Iterator[Machine]:
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=serve_until_told, args=(certificates, theirs))
    process.start()
    try:
        assert ours.poll(60)
        yield Machine(process.pid or 0, ours.recv(), certificates)
        ours.send("end")
        process.join(60)
    finally:
        process.kill()


def test_who_asks_while_the_machine_stands_still_is_answered(machine: Machine) -> None:
    known = machine.peer()
    known.send(ASKED)
    assert known.answer().status == 200
    new = machine.peer()
    with machine.standing_still():
        known.send(ASKED)
        new.send(ASKED)
    assert (known.answer().status, new.answer().status) == (200, 200)


def test_a_body_that_came_meanwhile_counts(machine: Machine) -> None:
    peer = machine.peer()
    peer.send("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\nExpect: 100-continue\r\n\r\n")
    assert peer.answer().status == 100
    with machine.standing_still():
        peer.send(bytes(15_000))
    peer.send(bytes(5_000))
    answer = peer.answer()
    assert (answer.status, len(answer.body)) == (200, 20_000)
