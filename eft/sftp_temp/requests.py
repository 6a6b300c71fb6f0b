"""What an SFTP client can ask, version 3. Data alone.

Source: draft-ietf-secsh-filexfer-02 §5 and §6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eft.domain.errors import EftError

FLAG_READ, FLAG_WRITE, FLAG_APPEND, FLAG_CREATE, FLAG_TRUNCATE, FLAG_EXCLUSIVE = 1, 2, 4, 8, 16, 32
"""`flags` of OPEN, §6.3."""
_ANEW = FLAG_WRITE | FLAG_CREATE | FLAG_TRUNCATE
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Attributes:
    """What a client sets. `size` in bytes, `modified_at` in seconds since 1970, None where it says nothing of it.

    Owner, permissions and unknown attributes are read over: they are accepted and ignored.
    """

    size: int | None = None
    modified_at: int | None = None

    @property
    def modification_time(self) -> datetime | None:
        return None if self.modified_at is None else EPOCH + timedelta(seconds=self.modified_at)


@dataclass(slots=True)
class Request:
    """One request. `id` is the client's, four bytes, sent back as it came."""

    id: bytes


@dataclass(slots=True)
class Init(Request):
    version: int


@dataclass(slots=True)
class Open(Request):
    path: bytes
    flags: int
    attributes: Attributes

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)

    @property
    def is_exclusive(self) -> bool:
        """Whether nothing may be there yet."""
        return self.has(FLAG_CREATE) and self.has(FLAG_EXCLUSIVE)

    @property
    def writes_anew(self) -> bool:
        """Whether a file begins here, whatever was there before."""
        return self.flags & _ANEW == _ANEW and not self.is_exclusive


@dataclass(slots=True)
class Close(Request):
    handle: bytes


@dataclass(slots=True)
class Read(Request):
    handle: bytes
    offset: int
    length: int


@dataclass(slots=True)
class Write(Request):
    """`parts` together are the payload, `length` bytes in all. A part may be a view of what was received."""

    handle: bytes
    offset: int
    parts: tuple[bytes | memoryview, ...]
    length: int


@dataclass(slots=True)
class Stat(Request):
    """STAT, and LSTAT: there are no links."""

    path: bytes


@dataclass(slots=True)
class FStat(Request):
    handle: bytes


@dataclass(slots=True)
class SetStat(Request):
    path: bytes
    attributes: Attributes


@dataclass(slots=True)
class FSetStat(Request):
    handle: bytes
    attributes: Attributes


@dataclass(slots=True)
class OpenDir(Request):
    path: bytes


@dataclass(slots=True)
class ReadDir(Request):
    handle: bytes


@dataclass(slots=True)
class Remove(Request):
    path: bytes


@dataclass(slots=True)
class MakeDir(Request):
    path: bytes


@dataclass(slots=True)
class RemoveDir(Request):
    path: bytes


@dataclass(slots=True)
class RealPath(Request):
    path: bytes


@dataclass(slots=True)
class Rename(Request):
    """`replace` with posix-rename@openssh.com, which may take the place of an existing file."""

    old: bytes
    new: bytes
    replace: bool


@dataclass(slots=True)
class FSync(Request):
    handle: bytes


@dataclass(slots=True)
class StatVfs(Request):
    """statvfs@openssh.com and fstatvfs@openssh.com. The path or handle says nothing: there is one store."""


@dataclass(slots=True)
class Limits(Request):
    """limits@openssh.com."""


@dataclass(slots=True)
class CheckFile(Request):
    """check-file-handle and its older form check-file, and check-file-name: the one that was not given is None. `tagged`: the
    answer begins with the name of the extension, as in the older form."""

    handle: bytes | None
    path: bytes | None
    algorithms: str
    start: int
    length: int
    block: int
    tagged: bool = False


@dataclass(slots=True)
class CopyData(Request):
    """copy-data: `length` bytes, or all that follow where it is 0, from one open file into another."""

    source: bytes
    start: int
    length: int
    target: bytes
    offset: int


@dataclass(slots=True)
class Unsupported(Request):
    """A request that this door does not know."""


@dataclass(slots=True)
class Refused(Request):
    """A request that is well framed and past a limit."""

    error: EftError
