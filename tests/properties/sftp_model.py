"""What an SFTP client's case is to hold after each request, in dictionaries and bytearrays: nothing of eft's own code decides it.

A file is a `File`: its bytes, and who writes it. A request is a method that says whether it is to succeed, and changes the model
where it does. Names are taken apart by `posixpath`, as a POSIX system without links would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import posixpath

from eft.domain.errors import NameNotAllowed
from eft.domain.names import check_name

READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
RESERVED = ("from-support", "receipts")
WINDOW = 2 * 1024 * 1024
HANDLES = 8
LONGEST_PATH = 4096


def resolved(raw: bytes) -> str | None:
    """The path below the case's root; None where it can be none."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text or len(raw) > LONGEST_PATH:
        return None
    return posixpath.normpath("/" + text.lstrip("/")).lstrip("/")


def creatable(path: str) -> bool:
    try:
        return check_name(path) == path
    except NameNotAllowed:
        return False


def is_reserved(path: str) -> bool:
    return path.split("/")[0] in RESERVED


@dataclass(eq=False)
class File:
    """`touched`: whether it has to stay though its writer be gone: something was written, or said about it."""

    data: bytearray = field(default_factory=bytearray)
    writer: Writer | None = None
    touched: bool = False


@dataclass(eq=False)
class Writer:
    """One handle that writes. Dead once another writer, a removal or an error has taken the file from it."""

    file: File
    append: bool
    readable: bool
    position: int
    waiting: dict[int, bytes] = field(default_factory=dict)
    dead: bool = False

    def die(self) -> None:
        self.dead = True
        self.waiting.clear()
        if self.file.writer is self:
            self.file.writer = None

    def put(self, offset: int, data: bytes) -> bool:
        if self.dead:
            return False
        if not data:
            return True
        if self.append:
            offset = self.position
        if offset > self.position and offset > len(self.file.data):
            clash = any(offset < at + len(held) and at < offset + len(data) for at, held in self.waiting.items())
            if clash or offset + len(data) > self.position + WINDOW:
                self.die()
                return False
            self.waiting[offset] = data
            return True
        self._store(offset, data)
        while not self.dead and self.waiting:
            if self.position in self.waiting:
                self._store(self.position, self.waiting.pop(self.position))
            elif min(self.waiting) < self.position:
                self.die()
                return False
            else:
                break
        return True

    def _store(self, offset: int, data: bytes) -> None:
        self.file.touched = True
        self.file.data[offset : offset + len(data)] = data
        self.position = offset + len(data)


@dataclass(eq=False)
class Reader:
    """One handle that reads: the bytes as they were when it was opened."""

    data: bytes


@dataclass(eq=False)
class Listing:
    """One open directory. `growing`: files that were being written, whose size is not told for sure."""

    names: dict[str, int | None]
    growing: set[str]


Handle = Writer | Reader | Listing


@dataclass(eq=False)
class Case:
    """The tree of one case. `from_support` cannot be changed by its customer."""

    from_support: dict[str, bytes]
    files: dict[str, File] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)
    past: dict[str, set[bytes]] = field(default_factory=dict)
    """What whole files had that stood under a name before."""

    # What is there

    def file(self, path: str) -> bytes | None:
        if path.startswith("from-support/"):
            return self.from_support.get(path.removeprefix("from-support/"))
        found = self.files.get(path)
        return None if found is None else bytes(found.data)

    def is_directory(self, path: str) -> bool:
        return path == "" or path in RESERVED or path in self.made

    def listing(self, path: str) -> dict[str, int | None]:
        """Name and size of what is directly in a directory; None for directories. Not that of receipts."""
        prefix = path + "/" if path else ""
        below: dict[str, int | None] = {name: len(file.data) for name, file in self.files.items()}
        below |= {f"from-support/{name}": len(data) for name, data in self.from_support.items()}
        below |= dict.fromkeys((*self.made, *RESERVED))
        return {
            name.removeprefix(prefix): size
            for name, size in below.items()
            if name.startswith(prefix) and "/" not in name.removeprefix(prefix)
        }

    def has_parent(self, path: str) -> bool:
        return self.is_directory(posixpath.dirname(path))

    # What is done to it

    def closed(self, file: File) -> None:
        """Its customer said that it is whole."""
        file.touched = True
        for path in [path for path, other in self.files.items() if other is file]:
            self.past.setdefault(path, set()).add(bytes(file.data))

    def left(self, writer: Writer) -> str | None:
        """Its connection is gone, or its CLOSE was refused. Gives the name of a file of which nothing had been written yet: it
        may be as if it had never been opened."""
        writer.die()
        return next((path for path, file in self.files.items() if file is writer.file and not file.touched), None)

    def open_to_write(self, path: str, flags: int) -> Writer | None:
        if path == "" or is_reserved(path) or self.is_directory(path):
            return None
        there = self.files.get(path)
        truncate, create = bool(flags & TRUNCATE), bool(flags & CREATE)
        if there is not None and create and flags & EXCLUSIVE:
            return None
        if (there is None or truncate) and not creatable(path):
            return None
        if there is None and (not create or not self.has_parent(path)):
            return None
        if there is not None and there.writer is not None:
            there.writer.die()
        if there is None or truncate:
            there = self.files[path] = File()
            self.ever.add(path)
        there.writer = Writer(there, bool(flags & APPEND), bool(flags & READ), len(there.data))
        return there.writer

    def make(self, path: str) -> bool:
        if not creatable(path) or is_reserved(path) or self.is_directory(path) or path in self.files or not self.has_parent(path):
            return False
        self.made.add(path)
        return True

    def remove_directory(self, path: str) -> bool:
        if path not in self.made or self.listing(path):
            return False
        self.made.discard(path)
        return True

    def remove(self, path: str) -> bool:
        found = self.files.pop(path, None)
        self.past.pop(path, None)
        if found is not None and found.writer is not None:
            found.writer.die()
        return found is not None

    def rename(self, old: str, new: str, *, replace: bool) -> bool:
        if "" in (old, new) or is_reserved(old) or is_reserved(new) or not creatable(new):
            return False
        is_directory = self.is_directory(old)
        if not is_directory and old not in self.files:
            return False
        if old == new:
            return True
        if not self.has_parent(new) or new.startswith(old + "/") or self.is_directory(new):
            return False
        if new in self.files:
            if not replace or is_directory:
                return False
            self.remove(new)
        if not is_directory:
            self._move(old, new)
            return True
        below = [name for name in (*self.files, *self.made) if name.startswith(old + "/")]
        if not all(creatable(new + name.removeprefix(old)) for name in below):
            return False
        for name in [name for name in self.files if name.startswith(old + "/")]:
            self._move(name, new + name.removeprefix(old))
        moved = {name for name in self.made if name == old or name.startswith(old + "/")}
        self.made = (self.made - moved) | {new + name.removeprefix(old) for name in moved}
        return True

    def _move(self, old: str, new: str) -> None:
        file = self.files[new] = self.files.pop(old)
        file.touched = True
        self.past.setdefault(new, set()).update({bytes(file.data)} | self.past.pop(old, set()))
        self.ever.add(new)
