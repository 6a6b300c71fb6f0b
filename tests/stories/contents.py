"""Contents of files that customers send: made from a seed, or sparse files larger than memory should ever hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
import hashlib
from pathlib import Path
import random

MIB = 1024 * 1024


def noise(seed: int, size: int) -> bytes:
    """The same bytes for the same seed."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Source:
    """A file on the customer's disk."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read(self, start: int, stop: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def pieces(self, start: int, stop: int, size: int = MIB) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(size, stop - start))
                start += len(piece)
                yield piece


def dense(path: Path, seed: int, size: int) -> Source:
    """A file full of noise."""
    path.write_bytes(noise(seed, size))
    return Source(path)


def sparse(path: Path, size: int) -> Source:
    """A file of holes with a few islands of noise, so that no two gigabytes of it look alike."""
    with path.open("wb") as file:
        file.truncate(size)
        for number, at in enumerate(range(0, size - MIB, 97 * MIB)):
            file.seek(at + number * 4099)
            file.write(noise(number, 65_537))
        file.truncate(size)
    return Source(path)
