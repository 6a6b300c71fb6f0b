"""What the files that a customer sends should be like: offsets, states and contents, by what was asked and what was answered."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from enum import Enum
import hashlib
import random

_NOISE = random.Random(20261123).randbytes(8 * 1024 * 1024)
_STEP = 104_729


class State(Enum):
    OPEN = "open"
    FINISHED = "finished"
    GONE = "gone"
    WAITING = "a final upload whose parts are not whole"
    EITHER = "a final upload that was put together, or lost a part before: only the gateway knows"


@dataclass(eq=False)
class File:
    """One upload. `low` and `high`: between them, both included, is its offset; they differ only until the gateway is asked."""

    number: int
    path: str
    length: int | None
    metadata: str = ""
    is_part: bool = False
    parts: tuple[File, ...] = ()
    low: int = 0
    high: int = 0
    state: State = State.OPEN
    unsure: bool = False
    """Whether it may have been finished without anybody having been told."""

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def room(self) -> int:
        return 1 << 40 if self.length is None else self.length - self.low

    @property
    def is_whole(self) -> bool:
        return self.state in (State.OPEN, State.FINISHED) and self.low == self.high == self.length

    def content(self, start: int, stop: int) -> bytes:
        """What its sender has for `[start, stop)`."""
        if self.parts:
            return b"".join(part.content(0, part.length or 0) for part in self.parts)[start:stop]
        first = self.number * _STEP % (len(_NOISE) // 2)
        return _NOISE[first + start : first + stop]

    def stands_at(self, offset: int) -> None:
        assert self.low <= offset <= self.high, f"{self.path} stands at {offset}, and was between {self.low} and {self.high}"
        self.low = self.high = offset

    def finish(self) -> None:
        self.state, self.length, self.unsure = State.FINISHED, self.low, False

    def digest(self) -> str:
        return repr_digest(self.content(0, self.low))


@dataclass
class Files:
    """All files of a case."""

    all: list[File] = field(default_factory=list)

    def add(self, file: File) -> File:
        self.all.append(file)
        return file

    def lose(self, part: File) -> None:
        """What waits for a part that is gone is over, unless it was put together before."""
        for final in self.all:
            if part in final.parts and final.state is State.WAITING:
                final.state = State.EITHER


def repr_digest(data: bytes) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(data).digest()).decode()}:"


def checksum_field(kind: str, data: bytes, *, right: bool) -> tuple[str, str]:
    """A field that declares what `data` is, or something else. `kind` is an algorithm of tus, or `content-digest`."""
    said = data if right else data + b"x"
    if kind == "content-digest":
        return "Content-Digest", repr_digest(said)
    return "Upload-Checksum", f"{kind} {b64encode(hashlib.new(kind, said).digest()).decode()}"
