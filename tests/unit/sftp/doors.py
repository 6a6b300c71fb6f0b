"""A door that is open, for tests that come through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
import socket
import tempfile
from typing import Any

import asyncssh

from eft.sftp_temp.door import SftpDoor
from eft.sftp_temp.host_keys import generate_host_keys
from eft.sftp_temp.settings import SftpSettings
from tests.unit.sftp.fakes import FakeAccounts, FakeClock, FakeDirectory, FakeKeys

USER, PASSWORD = "eft_us_someone", "abcde-fghjk"


@cache
def keys() -> tuple[Path, ...]:
    """Host keys, made once for all tests: RSA takes its time."""
    return generate_host_keys(Path(tempfile.mkdtemp(prefix="eft-host-keys-")))


@dataclass
class OpenDoor:
    door: SftpDoor
    directory: FakeDirectory
    accounts: FakeAccounts
    keys: FakeKeys
    clock: FakeClock

    @property
    def port(self) -> int:
        return self.door.port

    def connect(self, **options: Any) -> Any:
        """asyncssh's client."""
        told = {"username": USER, "password": PASSWORD, "known_hosts": None, "client_keys": None, "config": None, **options}
        return asyncssh.connect("127.0.0.1", self.port, **told)


@asynccontextmanager
async def opened(shared: Sequence[socket.socket] = (), **settings: Any) -> AsyncIterator[OpenDoor]:
    """A door on loopback with one account, over fakes."""
    clock = FakeClock()
    directory, accounts = FakeDirectory(), FakeAccounts(clock)
    accounts.add(USER, PASSWORD)
    told = {"host_keys": keys(), "hosts": ("127.0.0.1",), "sweep_s": 0.1, "failed_attempt_delay_s": 0.01, **settings}
    registered = FakeKeys(accounts)
    door = SftpDoor(directory=directory, accounts=accounts, keys=registered, clock=clock, settings=SftpSettings(**told))
    await door.start(shared)
    try:
        yield OpenDoor(door, directory, accounts, registered, clock)
    finally:
        await door.stop()
