"""A server of the bench that ends too early is told of with its last words."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from loadtests.servers import Absent, fate, free_port, serving

LISTENING = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("so far,\\nso good", file=sys.stderr, flush=True)
time.sleep(60)
"""


def test_nothing_is_told_of_a_server_that_lives_and_of_a_dead_one_how_it_ended() -> None:
    port = free_port()
    with serving([sys.executable, "-c", LISTENING, str(port)], port) as pid:
        assert fate(pid) == ""
        os.kill(pid, signal.SIGKILL)
        while not fate(pid):
            time.sleep(0.01)
        assert fate(pid) == "; it ended with -9, and said: so far, so good"
    assert fate(pid) == ""


def test_one_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(Absent, match="did not start; it ended with 3, and said: no certificate"),
        serving([sys.executable, "-c", "import sys; print('no certificate'); sys.exit(3)"], free_port()),
    ):
        pass
