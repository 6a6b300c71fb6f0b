"""What the door asks of the rest of eft, in its own words. eft.transfers and eft.accounts provide it; tests bring their own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, Protocol

from eft.domain.account import TemporaryAccount
from eft.domain.actor import Actor


class Reception(Protocol):
    """One upload being written, in order unless it is told otherwise. Offsets in bytes."""

    @property
    def upload_id(self) -> str: ...

    @property
    def path(self) -> str:
        """Where the file stands in its case's directory by now: another session may have moved it."""

    @property
    def offset(self) -> int:
        """Where the next byte goes."""

    @property
    def size(self) -> int:
        """Bytes of the file so far. More than `offset` while earlier bytes are written anew."""

    @property
    def full(self) -> bool:
        """Whether to wait for `ready` before offering more."""

    @property
    def displaced(self) -> asyncio.Event:
        """Set when another writer wants the upload: let go of it at once."""

    def offer(self, data: bytes | memoryview, /) -> None:
        """Takes the next bytes without blocking. A view is of bytes that never change. Raises EftError for what went wrong."""

    async def ready(self) -> None: ...

    async def commit(self) -> int:
        """Makes durable what was offered. Raises EftError."""

    async def rewrite(self, offset: int, data: bytes, /) -> None:
        """Takes `data` at `offset`, at most `size`; what is offered next follows it. Raises EftError."""

    async def settle(self, seconds: float | None) -> None:
        """Durable on return; published after `seconds` unless someone goes on with it. None: not before it was renamed."""

    async def release(self) -> None:
        """No more from here. What was received is kept for a resume, and never published by this. Never raises."""


class ReadHandle(Protocol):
    """One finished file, open for reading. It does not change while it is open."""

    @property
    def size(self) -> int: ...

    async def read(self, start: int, stop: int, /) -> bytes:
        """The bytes `[start, stop)`. Raises EftError."""

    def close(self) -> None: ...

    async def note_read(self, actor: Actor, served: int, whole: bool, /) -> None:
        """Into the audit log, where it is an attachment: who read it, `served` bytes, whether that was all. Once closed too."""


class Entry(Protocol):
    """One name in the client's view. `path` as in `Directory`."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> Literal["file", "directory"]: ...
    @property
    def size(self) -> int: ...
    @property
    def modified_at(self) -> datetime: ...
    @property
    def read_only(self) -> bool: ...


class Space(Protocol):
    """Bytes of the store that the case lies in."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


class Directory(Protocol):
    """The client's plain view of a case. Paths are relative, normalised, `/` between components; `''` is the root. Raises
    EftError."""

    async def stat(self, case_id: str, path: str, /) -> Entry: ...
    async def list(self, case_id: str, path: str, /) -> Sequence[Entry]: ...
    async def make(self, case_id: str, path: str, actor: Actor, /) -> None: ...
    async def remove_directory(self, case_id: str, path: str, actor: Actor, /) -> None: ...
    async def remove(self, case_id: str, path: str, actor: Actor, /) -> None: ...
    async def rename(self, case_id: str, old: str, new: str, actor: Actor, /, *, replace: bool) -> None: ...
    async def touch(self, case_id: str, path: str, modified_at: datetime, /) -> None: ...
    def touch_upload(self, upload_id: str, modified_at: datetime, /) -> None:
        """The same for a file that is being received; kept when it is closed."""

    async def open_read(self, case_id: str, path: str, /) -> ReadHandle: ...
    async def open_received(self, case_id: str, upload_id: str, /) -> ReadHandle:
        """What was received of an upload so far, whatever its name is by now."""

    def open_new(self, case_id: str, path: str, actor: Actor, /) -> Reception | None:
        """`open_write` with `create` and `truncate`, at once; None where it has to be waited for."""

    async def open_write(
        self, case_id: str, path: str, actor: Actor, /, *, create: bool, truncate: bool, exclusive: bool
    ) -> Reception: ...

    async def space(self) -> Space: ...


class Accounts(Protocol):
    """Who may sign in, and for how long."""

    async def authenticate(self, username: str, password: str, address: str, /) -> TemporaryAccount:
        """Raises SignInRefused, WrongRegion."""

    async def alive(self, ids: Collection[str], /) -> set[str]:
        """Those of these account ids that may still be used."""


class Keys(Protocol):
    """Which public keys are registered with an account. `blob` as in RFC 4253 §6.6."""

    async def known(self, username: str, blob: bytes, /) -> TemporaryAccount:
        """The account that the key's owner could sign in to; nobody is signed in. Raises SignInRefused, WrongRegion."""

    async def authenticate(self, username: str, blob: bytes, address: str, /, *, signed: bool) -> TemporaryAccount:
        """Raises SignInRefused, WrongRegion; always where it was not `signed`."""
