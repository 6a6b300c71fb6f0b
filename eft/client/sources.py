"""What is to be sent: files, folders with all that is in them, standard input; and the name each gets in the case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import stat
from typing import BinaryIO

from eft.client.errors import ClientError, FileChanged, Wrong

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Item:
    """One file. `name`: its path in the case, with `/` between folders. `path` is None for standard input."""

    name: str
    path: Path | None
    size: int | None


def find_items(paths: Sequence[str], *, name: str | None, follow_links: bool, skipped: Callable[[str, str], None]) -> list[Item]:
    """The files that `paths` name, in their order, those of a folder by name.

    `name` is for standard input, or for the only file. What is no file is passed over and told to `skipped` (path, reason).
    Raises Wrong where a path is not there, or two files would have one name.
    """
    items: list[Item] = []
    for path in paths:
        if path == STDIN:
            if not name:
                raise Wrong("Standard input has no name.", "Give it one with --name NAME.")
            items.append(Item(name, None, None))
            continue
        items += _below(Path(path), follow_links, skipped)
    if name and len(items) == 1:
        items = [Item(name, items[0].path, items[0].size)]
    elif name and STDIN not in paths:
        raise Wrong("--name is for one file.", "Leave it out, or send the files one by one.")
    seen: dict[str, Item] = {}
    for item in items:
        if item.name in seen and item.path != seen[item.name].path:
            raise Wrong(f"Two files would be called {item.name}.", "Send the folder that has both, or send them one by one.")
        seen[item.name] = item
    return list(seen.values())


def _below(path: Path, follow_links: bool, skipped: Callable[[str, str], None]) -> Iterator[Item]:
    try:
        # A link that is named on the command line is meant: only those within a folder are passed over.
        found = path.stat()
    except OSError as error:
        raise Wrong(f"{path} cannot be read ({error.strerror}).", "Check the path.") from None
    if stat.S_ISREG(found.st_mode):
        yield Item(path.name or str(path), path, found.st_size)
    elif stat.S_ISDIR(found.st_mode):
        yield from _folder(path, Path(os.path.abspath(path)).name, follow_links, skipped, frozenset())
    else:
        raise Wrong(f"{path} is neither a file nor a folder.", "Send its content through standard input: - --name NAME.")


def _folder(
    folder: Path, prefix: str, follow_links: bool, skipped: Callable[[str, str], None], above: frozenset[tuple[int, int]]
) -> Iterator[Item]:
    try:
        identity = (folder.stat().st_dev, folder.stat().st_ino)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        skipped(str(folder), f"cannot be read ({error.strerror})")
        return
    if identity in above and identity[1]:
        skipped(str(folder), "a link to a folder above")
        return
    for entry in entries:
        name = f"{prefix}/{entry.name}" if prefix else entry.name
        if entry.is_symlink() and not follow_links:
            skipped(entry.path, "a link; --follow-links sends what it leads to")
        elif entry.is_dir():
            yield from _folder(Path(entry.path), name, follow_links, skipped, above | {identity})
        elif entry.is_file():
            yield Item(name, Path(entry.path), entry.stat().st_size)
        else:
            skipped(entry.path, "no file")


class FileSource:
    """A file, open for reading. It must stay as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        """Raises ClientError."""
        try:
            self._file: BinaryIO = path.open("rb", buffering=0)
        except OSError as error:
            raise ClientError(f"{path} cannot be read ({error.strerror}).", "Check the file and its permissions.") from None
        self.path = path
        self._first = self._facts()
        self.size: int = self._first[0]

    @property
    def file(self) -> BinaryIO:
        return self._file

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fills `buffer` with what stands from `offset` on. Raises FileChanged where less is there than there was."""
        self.check_unchanged()
        try:
            self._file.seek(offset)
            filled = 0
            while filled < len(buffer):
                # A raw file reads into what it is given, without a copy between.
                count = self._file.readinto(buffer[filled:])  # type: ignore[attr-defined]
                if not count:
                    raise self._changed()
                filled += count
        except OSError as error:
            raise ClientError(f"{self.path} cannot be read ({error.strerror}).", "Check the disk it is on.") from None
        return filled

    def check_unchanged(self) -> None:
        """Raises FileChanged."""
        try:
            by_name = os.stat(self.path)
            is_same = (by_name.st_size, by_name.st_mtime_ns) == self._first and self._facts() == self._first
        except OSError:
            is_same = False
        if not is_same:
            raise self._changed()

    def close(self) -> None:
        self._file.close()

    def _facts(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def _changed(self) -> FileChanged:
        return FileChanged(
            f"{self.path} changed while it was being sent.",
            "Wait until nothing writes to it any more, or copy it and send the copy.",
        )
