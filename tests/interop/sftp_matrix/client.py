"""What every SFTP client is asked to do, and how each says what it does not offer.

A client is a class with a method for each thing; the method's docstring is the cell of docs/sftp-clients.md. What a client does
not offer is `never("why")` in place of the method, and stands in the page with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
from typing import Any, ClassVar


class ClientFailed(Exception):
    """The client ended with an error, and what it said."""


@dataclass(frozen=True)
class Never:
    """The client does not offer it."""

    why: str


def never(why: str) -> Any:
    return Never(why)


@dataclass(frozen=True)
class Account:
    """Where a client signs in, and with what."""

    port: int
    user: str
    password: str
    fingerprints: tuple[str, ...]


class Client:
    """One client, signed in anew for each thing that it is asked. Local paths are absolute, remote ones begin with `/`. Methods
    raise ClientFailed."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]] = ()
    not_tried: ClassVar[frozenset[str]] = frozenset()
    """Capabilities that no test tries yet, which the page says."""
    size: ClassVar[int] = 6_000_000
    """Bytes of the file that it sends and fetches."""
    patience_s: ClassVar[float] = 100
    """How long a program may take for one thing."""

    def __init__(self, work: Path, account: Account) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.account = work, account
        self.running: subprocess.Popen[bytes] | None = None

    def put(self, local: Path, remote: str) -> None:
        raise AssertionError(f"{self.name} neither has it nor says never: {remote} {local}")

    get = put_tree = get_tree = rename_over = resume_put = resume_get = put_with_time = get_with_time = put

    def overwrite(self, local: Path, remote: str) -> None:
        """the same again"""
        self.put(local, remote)

    def put_many(self, local: Path, remote: str) -> None:
        """as a tree"""
        self.put_tree(local, remote)

    def put_at_once(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """several at once"""
        each = [type(self)(self.work / f"at-once-{number}", self.account) for number in range(len(pairs))]
        with ThreadPoolExecutor(len(pairs)) as pool:
            list(pool.map(lambda one: one[0].put(*one[1]), zip(each, pairs, strict=True)))

    def password(self) -> None:
        raise AssertionError(f"{self.name} neither has it nor says never")

    keyboard_interactive = password

    def run(self, *words: str | Path, stdin: str = "", environment: dict[str, str] | None = None) -> str:
        """Runs a program to its end. What it said."""
        told = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(self.work), **(environment or {})}
        with subprocess.Popen(
            list(map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=told,
            start_new_session=True,
        ) as process:
            self.running = process
            try:
                out, _ = process.communicate(stdin.encode(), self.patience_s)
            except BaseException:
                self.signal(signal.SIGKILL)
                raise
            finally:
                self.running = None
        said = out.decode(errors="replace")
        if process.returncode:
            raise ClientFailed(f"{words[0]} ended with {process.returncode}: {said}")
        return said

    def signal(self, which: signal.Signals) -> None:
        """As the terminal gives it: to the program that runs, and to those that it has started."""
        if self.running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, which)


Operation = Callable[..., Any] | Never


def cell(client: type[Client], operation: str) -> str:
    """What the page says of it."""
    found: Operation = getattr(client, operation)
    if isinstance(found, Never):
        return f"not offered: {found.why}"
    doc = found.__doc__
    assert doc, f"{client.__name__}.{operation} says nothing for the page"
    return " ".join(doc.split())
