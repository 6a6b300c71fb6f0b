"""A disk that forgets what was not synced.

It implements the `Files` port in memory and keeps two states: what programs see, and what the disk has. A power cut leaves the
second one with any part of what was on its way: whole writes or sectors of them, and directory entries quite apart from content.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
import errno
import os
import random
import stat
import threading

from eft.storage.files import Bytes, File, Where, checked

SECTOR = 512
PAGE = 4096


class PowerCut(BaseException):
    """The machine is off. No code under test catches it, and nothing that it does afterwards has any effect."""


@dataclass
class Faults:
    """What goes wrong, by the number of the operation that changes something, counted from 0."""

    cut_at: int | None = None
    errors: dict[int, int] = field(default_factory=dict)


@dataclass
class _Inode:
    seen: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def apply(self, rng: random.Random) -> bytearray:
        """What the disk may have of it after a power cut."""
        content = bytearray(self.kept)
        for offset, data in self.pending:
            for at, piece in _survivors(rng, offset, data):
                _put(content, at, piece)
        return content


@dataclass
class _Directory:
    seen: dict[str, _Inode | _Directory] = field(default_factory=dict)
    kept: dict[str, _Inode | _Directory] = field(default_factory=dict)
    pending: list[dict[str, _Inode | _Directory | None]] = field(default_factory=list)

    def apply(self, rng: random.Random) -> dict[str, _Inode | _Directory]:
        entries = dict(self.kept)
        for change in self.pending:
            if rng.random() < 0.5:
                _merge(entries, change)
        return entries


class LossyFiles:
    """Implements `Files`. `operations` counts what changed something so far."""

    def __init__(self, rng: random.Random, faults: Faults | None = None, root: _Directory | None = None) -> None:
        self.rng, self.faults = rng, faults or Faults()
        self.operations = 0
        self._root = root or _Directory()
        self._off = False
        self._locks: dict[Where, threading.Lock] = {}
        self._mutex = threading.RLock()

    def crash(self, rng: random.Random, faults: Faults | None = None, *, garble: bool = False) -> LossyFiles:
        """A machine started again on what this one's disk may have now; may be asked several times, each answer its own.
        `garble`: a page that was on its way may also hold rubbish, wherever in it the write went."""
        return LossyFiles(rng, faults, _crashed(self._root, rng, garble))

    def restart(self, faults: Faults | None = None) -> LossyFiles:
        """The processes died, the machine did not: nothing is lost, and nothing more is durable."""
        return LossyFiles(self.rng, faults, self._root)

    def create(self, where: Where) -> File:
        with self._changing():
            directory, name = self._parent(where)
            if name in directory.seen:
                raise FileExistsError(errno.EEXIST, "exists", name)
            inode = _Inode()
            _change(directory, {name: inode})
            return _LossyFile(self, inode)

    def open(self, where: Where, *, writable: bool = False) -> File:
        directory, name = self._parent(where)
        found = directory.seen.get(name)
        if not isinstance(found, _Inode):
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return _LossyFile(self, found)

    def make_directory(self, where: Where) -> None:
        directory, name = self._parent(where)
        if name not in directory.seen:
            with self._changing():
                _change(directory, {name: _Directory()})

    def sync_directory(self, where: Where) -> None:
        with self._changing():
            directory = self._directory(where)
            directory.kept = dict(directory.seen)
            directory.pending.clear()

    def list(self, where: Where) -> list[str]:
        return sorted(self._directory(where).seen)

    def remove(self, where: Where) -> None:
        with self._changing():
            directory, name = self._parent(where)
            if not isinstance(directory.seen.get(name), _Inode):
                raise FileNotFoundError(errno.ENOENT, "no such file", name)
            _change(directory, {name: None})

    def remove_directory(self, where: Where) -> None:
        with self._changing():
            directory, name = self._parent(where)
            if self._directory(where).seen:
                raise OSError(errno.ENOTEMPTY, "not empty", name)
            _change(directory, {name: None})

    def replace(self, old: Where, new: Where) -> None:
        with self._changing():
            directory, name = self._parent(old)
            if name not in directory.seen:
                raise FileNotFoundError(errno.ENOENT, "no such file", name)
            _change(directory, {name: None, new[-1]: directory.seen[name]})

    def lock(self, where: Where) -> AbstractContextManager[None]:
        self._parent(where)
        with self._mutex:
            lock = self._locks.setdefault(where, threading.Lock())
        return _held(lock)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Counts an operation; cuts the power before or after it, or lets it fail."""
        with self._mutex:
            if self._off:
                raise PowerCut
            number, self.operations = self.operations, self.operations + 1
            cut = number == self.faults.cut_at
            if cut and self.rng.random() < 0.5:
                self._off = True
                raise PowerCut
            if number in self.faults.errors:
                raise OSError(self.faults.errors[number], os.strerror(self.faults.errors[number]))
            yield
            if cut:
                self._off = True
                raise PowerCut

    def _directory(self, where: Where) -> _Directory:
        found = self._root
        for component in checked(where):
            following = found.seen.get(component)
            if not isinstance(following, _Directory):
                raise FileNotFoundError(errno.ENOENT, "no such directory", component)
            found = following
        return found

    def _parent(self, where: Where) -> tuple[_Directory, str]:
        if not where:
            raise ValueError("the root itself is no file")
        checked(where)
        return self._directory(where[:-1]), where[-1]


class _LossyFile:
    def __init__(self, disk: LossyFiles, inode: _Inode) -> None:
        self._disk, self._inode = disk, inode
        self._open = True

    def read_at(self, length: int, offset: int) -> bytes:
        self._expect_open()
        return bytes(self._inode.seen[offset : offset + length])

    def read_into(self, buffer: memoryview, offset: int) -> int:
        data = self.read_at(len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)

    def write_at(self, data: Bytes, offset: int) -> None:
        self._expect_open()
        try:
            with self._disk._changing():
                self._write(bytes(data), offset)
        except OSError:
            self._write(bytes(data)[: self._disk.rng.randrange(len(data) + 1)], offset)
            raise

    def allocate(self, size: int) -> None:
        self._expect_open()
        with self._disk._changing():
            missing = size - len(self._inode.seen)
            if missing > 0:
                self._write(bytes(missing), len(self._inode.seen))

    def size(self) -> int:
        self._expect_open()
        return len(self._inode.seen)

    def mode(self) -> int:
        return stat.S_IFREG | 0o600

    def sync_data(self) -> None:
        """After a failed one, what was on its way is lost or not, is still seen, and counts as clean: as on Linux."""
        self._expect_open()
        inode = self._inode
        try:
            with self._disk._changing():
                for offset, data in inode.pending:
                    _put(inode.kept, offset, data)
                inode.pending.clear()
        except OSError:
            inode.kept = inode.apply(self._disk.rng)
            inode.pending.clear()
            raise

    def sync(self) -> None:
        self.sync_data()

    def uncache(self) -> None:
        if not self._inode.pending:
            self._inode.seen = bytearray(self._inode.kept)

    def close(self) -> None:
        self._open = False

    def _write(self, data: bytes, offset: int) -> None:
        if data:
            _put(self._inode.seen, offset, data)
            self._inode.pending.append((offset, data))

    def _expect_open(self) -> None:
        if not self._open:
            raise OSError(errno.EBADF, "closed")


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    with lock:
        yield


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _change(directory: _Directory, change: dict[str, _Inode | _Directory | None]) -> None:
    _merge(directory.seen, change)
    directory.pending.append(change)


def _merge(entries: dict[str, _Inode | _Directory], change: dict[str, _Inode | _Directory | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            entries.pop(name, None)
        else:
            entries[name] = inode


def _survivors(rng: random.Random, offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """What of one write came to the disk: nothing, all, or some of its sectors."""
    fate = rng.random()
    if fate < 0.35:
        return
    if fate < 0.65:
        yield offset, data
        return
    odds = rng.choice((0.1, 0.5, 0.9))
    at = offset
    while at < offset + len(data):
        stop = min(at - at % SECTOR + SECTOR, offset + len(data))
        if rng.random() < odds:
            yield at, data[at - offset : stop - offset]
        at = stop


def _crashed(directory: _Directory, rng: random.Random, garble: bool) -> _Directory:
    """A copy of what the disk may have. One inode that has two names stays one."""
    copies: dict[int, _Inode | _Directory] = {}

    def copy(entry: _Inode | _Directory) -> _Inode | _Directory:
        if id(entry) not in copies:
            if isinstance(entry, _Inode):
                content = entry.apply(rng)
                if garble:
                    _garble(rng, content, entry.pending)
                copies[id(entry)] = _Inode(bytearray(content), content)
            else:
                entries = {name: copy(inode) for name, inode in entry.apply(rng).items()}
                copies[id(entry)] = _Directory(dict(entries), entries)
        return copies[id(entry)]

    found = copy(directory)
    assert isinstance(found, _Directory)
    return found


def _garble(rng: random.Random, content: bytearray, pending: list[tuple[int, bytes]]) -> None:
    for offset, data in pending:
        for page in range(offset // PAGE, (offset + len(data) - 1) // PAGE + 1):
            if rng.random() < 0.2:
                stop = min((page + 1) * PAGE, len(content))
                if page * PAGE < stop:
                    content[page * PAGE : stop] = rng.randbytes(stop - page * PAGE)
