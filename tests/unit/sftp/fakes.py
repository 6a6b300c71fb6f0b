"""In-memory stand-ins for the case's directory, the accounts, the clock and an SSH channel."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
import time
from typing import Any, Literal

from eft.domain.account import LIFETIME, TemporaryAccount
from eft.domain.actor import Actor
from eft.domain.errors import AlreadyExists, EftError, Invalid, NotEmpty, NotFound, ReadOnly, SignInRefused
from eft.domain.names import check_name

SUPPORT = "from-support"


class FakeClock:
    """Runs with the machine, and can be moved on."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class FakeEntry:
    path: str
    kind: Literal["file", "directory"]
    size: int
    modified_at: datetime
    read_only: bool = False


@dataclass
class FakeSpace:
    total: int = 100 * 2**30
    free: int = 60 * 2**30


@dataclass
class StoredFile:
    data: bytearray = field(default_factory=bytearray)
    modified_at: datetime = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    state: str = "receiving"
    settle_s: float | None = -1.0


class FakeReception:
    """Keeps what is offered; notes what was said about it."""

    def __init__(self, file: StoredFile, path: str = "name") -> None:
        self.upload_id = "0" * 32
        self.path = path
        self.file = file
        self.displaced = asyncio.Event()
        self.full = False
        self.fail_with: EftError | None = None
        self.commits = 0
        self.settled: float | Literal[False] | None = False
        self.released = False
        self.gate: asyncio.Event | None = None

        self.offset = len(file.data)

    @property
    def size(self) -> int:
        return len(self.file.data)

    def offer(self, data: bytes | memoryview) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.file.data[self.offset : self.offset + len(data)] = data
        self.offset += len(data)

    async def rewrite(self, offset: int, data: bytes) -> None:
        self.offset = offset
        self.offer(data)

    async def ready(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.full = False

    async def commit(self) -> int:
        self.commits += 1
        return self.offset

    async def settle(self, seconds: float | None) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fail_with is not None:
            raise self.fail_with
        self.settled = seconds
        self.file.settle_s = seconds
        self.file.state = "settling"

    async def release(self) -> None:
        self.released = True
        if self.file.state != "settling":
            self.file.state = "released"


class FakeContent:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.reads: list[tuple[int, int]] = []
        self.noted: list[tuple[str, int, bool]] = []
        self.closed = False

    async def read(self, start: int, stop: int) -> bytes:
        self.reads.append((start, stop))
        await asyncio.sleep(0)
        return self._data[start:stop]

    async def note_read(self, actor: Actor, served: int, whole: bool) -> None:
        self.noted.append((actor.name, served, whole))

    def close(self) -> None:
        self.closed = True


class FakeDirectory:
    """One case, in dictionaries."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}
        self.directories: set[str] = {"", SUPPORT}
        self.receptions: list[FakeReception] = []
        self.contents: list[FakeContent] = []
        self.cases: set[str] = set()
        self.actors: set[Actor] = set()
        self.fail_with: EftError | None = None
        self.knows_free_names = False

    def _check(self, case_id: str, *written: str) -> None:
        self.cases.add(case_id)
        for path in written:
            if path == "" or path == SUPPORT or path.startswith(SUPPORT + "/"):
                raise ReadOnly
            check_name(path)
        if self.fail_with is not None:
            raise self.fail_with

    async def stat(self, case_id: str, path: str) -> FakeEntry:
        self._check(case_id)
        read_only = path.split("/")[0] == SUPPORT
        if path in self.directories:
            return FakeEntry(path, "directory", 0, datetime(2026, 1, 1, tzinfo=UTC), read_only)
        if path in self.files:
            file = self.files[path]
            return FakeEntry(path, "file", len(file.data), file.modified_at, read_only)
        raise NotFound

    async def list(self, case_id: str, path: str) -> list[FakeEntry]:
        if (await self.stat(case_id, path)).kind != "directory":
            raise NotFound
        names = [name for name in [*self.files, *self.directories] if name and name.rpartition("/")[0] == path]
        return [await self.stat(case_id, name) for name in sorted(names)]

    async def make(self, case_id: str, path: str, actor: Actor) -> None:
        self._check(case_id, path)
        self.actors.add(actor)
        if path in self.files or path in self.directories:
            raise AlreadyExists
        if path.rpartition("/")[0] not in self.directories:
            raise NotFound
        self.directories.add(path)

    async def remove_directory(self, case_id: str, path: str, actor: Actor) -> None:
        self._check(case_id, path)
        if path not in self.directories:
            raise NotFound
        if await self.list(case_id, path):
            raise NotEmpty
        self.directories.discard(path)

    async def remove(self, case_id: str, path: str, actor: Actor) -> None:
        self._check(case_id, path)
        if path in self.directories:
            raise Invalid("This is a directory.", "Remove it as one, once it is empty.")
        if self.files.pop(path, None) is None:
            raise NotFound

    async def rename(self, case_id: str, old: str, new: str, actor: Actor, *, replace: bool) -> None:
        self._check(case_id, old, new)
        if old not in self.files and old not in self.directories:
            raise NotFound
        if new in self.directories or (new in self.files and not replace):
            raise AlreadyExists
        for reception in self.receptions:
            if reception.path == old or reception.path.startswith(old + "/"):
                reception.path = new + reception.path[len(old) :]
        if old in self.files:
            self.files[new] = self.files.pop(old)
            return
        for name in [name for name in self.files if name.startswith(old + "/")]:
            self.files[new + name[len(old) :]] = self.files.pop(name)
        moved = {name for name in self.directories if name == old or name.startswith(old + "/")}
        self.directories = (self.directories - moved) | {new + name[len(old) :] for name in moved}

    async def touch(self, case_id: str, path: str, modified_at: datetime) -> None:
        self._check(case_id, path)
        if path not in self.files:
            raise NotFound
        self.files[path].modified_at = modified_at

    def touch_upload(self, upload_id: str, modified_at: datetime) -> None:
        self.receptions[int(upload_id, 16)].file.modified_at = modified_at

    async def open_read(self, case_id: str, path: str) -> FakeContent:
        self._check(case_id)
        if path not in self.files:
            raise NotFound
        self.contents.append(FakeContent(bytes(self.files[path].data)))
        return self.contents[-1]

    async def open_received(self, case_id: str, upload_id: str) -> FakeContent:
        self._check(case_id)
        self.contents.append(FakeContent(bytes(self.receptions[int(upload_id, 16)].file.data)))
        return self.contents[-1]

    def open_new(self, case_id: str, path: str, actor: Actor) -> FakeReception | None:
        if not self.knows_free_names:
            return None
        self._check(case_id, path)
        is_free = path not in self.files and path not in self.directories and path.rpartition("/")[0] in self.directories
        return self._write(path, actor, truncate=True) if is_free else None

    async def open_write(
        self, case_id: str, path: str, actor: Actor, *, create: bool, truncate: bool, exclusive: bool
    ) -> FakeReception:
        self._check(case_id, path)
        if path in self.directories or (exclusive and path in self.files):
            raise AlreadyExists
        if path not in self.files and not create:
            raise NotFound
        if path.rpartition("/")[0] not in self.directories:
            raise NotFound
        return self._write(path, actor, truncate=truncate)

    def _write(self, path: str, actor: Actor, *, truncate: bool) -> FakeReception:
        self.actors.add(actor)
        if truncate or path not in self.files:
            self.files[path] = StoredFile()
        file = self.files[path]
        file.state = "receiving"
        reception = FakeReception(file, path)
        reception.upload_id = f"{len(self.receptions):032x}"
        self.receptions.append(reception)
        return reception

    async def space(self) -> FakeSpace:
        return FakeSpace()


class FakeAccounts:
    """Any user name that was added, with its password."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.accounts: dict[str, tuple[str, TemporaryAccount]] = {}
        self.revoked: set[str] = set()
        self.raises: dict[str, Exception] = {}
        self.asked = 0
        self.addresses: set[str] = set()

    def add(self, username: str, password: str, case_id: str = "case-1", left: timedelta = LIFETIME) -> TemporaryAccount:
        now = self._clock.now()
        account = TemporaryAccount(
            id=f"id-of-{username}",
            case_id=case_id,
            username=username,
            password_hash="",
            created_at=now,
            expires_at=now + left,
        )
        self.accounts[username] = (password, account)
        return account

    async def authenticate(self, username: str, password: str, address: str) -> TemporaryAccount:
        self.asked += 1
        self.addresses.add(address)
        if username in self.raises:
            raise self.raises[username]
        known = self.accounts.get(username)
        if known is None or known[0] != password or not known[1].is_alive(self._clock.now()):
            raise SignInRefused
        return known[1]

    async def alive(self, ids: Collection[str]) -> set[str]:
        now = self._clock.now()
        return {a.id for _, a in self.accounts.values() if a.id in ids and a.is_alive(now) and a.id not in self.revoked}


class FakeKeys:
    """Public keys (`blobs`) by user name, of accounts that a FakeAccounts has."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self._accounts = accounts
        self.blobs: dict[str, set[bytes]] = {}
        self.asked: list[str] = []
        self.signed: list[tuple[str, bool, str]] = []

    async def known(self, username: str, blob: bytes) -> TemporaryAccount:
        self.asked.append(username)
        return self._account(username, blob)

    async def authenticate(self, username: str, blob: bytes, address: str, *, signed: bool) -> TemporaryAccount:
        self.signed.append((username, signed, address))
        if not signed:
            raise SignInRefused
        return self._account(username, blob)

    def _account(self, username: str, blob: bytes) -> TemporaryAccount:
        known = self._accounts.accounts.get(username)
        if known is None or blob not in self.blobs.get(username, ()):
            raise SignInRefused
        return known[1]


class FakeChannel:
    """Takes what a session writes. `window` bytes fit before the session is asked to pause."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.explained = bytearray()
        self.client_version = ""
        self.writes = 0
        self.reading = True
        self.pauses = 0
        self.exited: int | None = None
        self._recv_buf: list[tuple[bytes, None]] = []
        """asyncssh's name: what was received and is kept while reading is paused."""
        self.session: Any = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: str) -> str:
        return self.client_version if name == "client_version" else default

    def write(self, data: bytes, datatype: int | None = None) -> None:
        if datatype is not None:
            self.explained += data
            return
        self.writes += 1
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False
        self.pauses += 1

    def resume_reading(self) -> None:
        self.reading = True
        while self.reading and self._recv_buf:
            self.session.data_received(*self._recv_buf.pop(0))

    def deliver(self, data: bytes) -> None:
        """As asyncssh does: at once, or kept while reading is paused."""
        if self.reading and not self._recv_buf:
            self.session.data_received(data, None)
        else:
            self._recv_buf.append((data, None))

    def exit(self, status: int) -> None:
        self.exited = status


class FakeHost:
    """The connection of a session."""

    def __init__(self) -> None:
        self.congested = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.disconnected: list[str] = []
        self.ended = 0
        self.held: set[Any] = set()

    def hold(self, session: Any) -> None:
        self.held.add(session)

    def ease(self, session: Any) -> None:
        self.held.discard(session)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def disconnect(self, reason: str, *, protocol_error: bool = False) -> None:
        self.disconnected.append(reason)

    def session_ended(self, session: Any) -> None:
        self.ended += 1

    async def settle(self) -> None:
        """Waits until the session has nothing more to do."""
        for _ in range(200):
            await asyncio.sleep(0)
            if not self.tasks:
                await asyncio.sleep(0)
                if not self.tasks:
                    return
