"""A customer with OpenSSH's `sftp`, in processes that can be watched and killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import tempfile
import time
from typing import Any

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_clients import OpenSsh

TIMEOUT_S = 90


@dataclass
class Said:
    """How a session ended."""

    code: int
    text: str


class SftpCustomer(OpenSsh):
    """Signs in with the account it is given, or with a new one of the case."""

    def __init__(self, gateway: Gateway, work: Path, account: dict[str, Any], *, port: int | None = None) -> None:
        self.account = account
        own = Path(tempfile.mkdtemp(prefix="sftp-", dir=work))
        super().__init__(own, port or gateway.sftp_port, user=account["username"], password=account["password"])

    def command(self, *extra: str) -> list[str]:
        """The words to run. What is in `extra` comes first, and with options of SSH the first one counts."""
        first, *rest = self.sftp_command
        return [first, *extra, *rest]

    def run(self, *commands: str, extra: tuple[str, ...] = (), within_s: float = TIMEOUT_S) -> Said:
        """One session. A command that fails ends it, as in a batch; one with a dash in front does not."""
        process = self.start(*extra, batch=True)
        try:
            told, _ = process.communicate("".join(f"{command}\n" for command in commands).encode(), within_s)
        finally:
            kill(process)
        return Said(process.returncode, told.decode(errors="replace"))

    def ok(self, *commands: str, extra: tuple[str, ...] = (), within_s: float = TIMEOUT_S) -> str:
        """What a session that succeeds has to say."""
        said = self.run(*commands, extra=extra, within_s=within_s)
        assert said.code == 0, f"...{said.text[-2000:]} ({said.code})"
        return said.text

    def start(self, *extra: str, batch: bool = False) -> subprocess.Popen[bytes]:
        """A session that reads its commands from standard input."""
        words = self.command(*extra)
        if batch:
            # -b asks for BatchMode, which forbids passwords; of two values the first counts.
            words[1:1] = ["-o", "BatchMode=no", "-b", "-"]
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", **self.environment},
        )

    @contextmanager
    def live(self, *extra: str) -> Iterator[LiveSession]:
        """A session that stays signed in until it is told otherwise."""
        process = self.start(*extra, batch=True)
        try:
            yield LiveSession(process)
        finally:
            kill(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class LiveSession:
    """One process of `sftp`, spoken to line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def ask(self, command: str, until: str) -> str:
        """Gives a command and reads what it says up to a line with `until`."""
        self.tell(command)
        assert self.process.stdout is not None
        told = ""
        while until not in told.rpartition(command)[2]:
            line = self.process.stdout.readline().decode(errors="replace")
            assert line, f"the session ended: {told}"
            told += line
        return told

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def cut(self, within_s: float) -> tuple[float, str]:
        """After how many seconds, at most `within_s`, its connection was gone, and what it said then.

        `sftp` itself, which waits for a command, does not notice; the `ssh` below it does.
        """
        began = time.monotonic()
        while self._connected():
            assert time.monotonic() - began < within_s, f"still connected after {within_s} s"
            time.sleep(0.01)
        took = time.monotonic() - began
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        return took, self.process.stdout.read().decode(errors="replace")

    def _connected(self) -> bool:
        """Whether its `ssh` still runs; a zombie does not."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            states = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children]
        except OSError:
            return False
        return any(state != "Z" for state in states)


def kill(process: subprocess.Popen[bytes]) -> None:
    """`kill -9` of `sftp` and the `ssh` below it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def account_of(gateway: Gateway, case_id: str) -> dict[str, Any]:
    """A new temporary account of the case."""
    made: dict[str, Any] = gateway.call("POST", f"cases/{case_id}/sftp-account")
    return made


def sftp_customer(gateway: Gateway, case_id: str, work: Path) -> SftpCustomer:
    return SftpCustomer(gateway, work, account_of(gateway, case_id))
