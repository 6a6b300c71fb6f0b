"""Digests that a client asks for: the check-file extensions, and `sha256sum NAME` and its relatives as commands.

Source: draft-ietf-secsh-filexfer-09 §9.1.2; GNU coreutils for what the commands print.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
import hashlib
import shlex
from typing import Final

from eft.domain.errors import EftError, Invalid
from eft.sftp_temp.ports import ReadHandle

ALGORITHMS: Final = ("sha256", "sha1", "md5", "sha512", "sha384", "sha224")
SMALLEST_BLOCK: Final = 256
BLOCKS: Final = 4096
"""Digests of single blocks in one answer."""
_PIECE: Final = 1024 * 1024

_COMMANDS: Final = {f"{name}sum": name for name in ALGORITHMS}


def choose(wanted: str) -> str:
    """The first algorithm of a client's comma-separated list that there is. Raises Invalid."""
    for name in wanted.split(","):
        if name.strip().lower() in ALGORITHMS:
            return name.strip().lower()
    raise Invalid(f"None of the digests asked for is known: {wanted[:100]!r}.", f"Ask for one of {', '.join(ALGORITHMS)}.")


async def digests(reader: ReadHandle, algorithm: str, start: int, length: int, block: int) -> bytes:
    """The digests of `[start, start + length)`, to the end of the file where `length` is 0: one for each `block` bytes, or one
    of it all where `block` is 0. Raises Invalid, and what reading raises."""
    stop = reader.size if length == 0 else min(reader.size, start + length)
    if block and (block < SMALLEST_BLOCK or max(0, stop - start) > block * BLOCKS):
        raise Invalid(
            "The blocks are too small.", f"Ask for blocks of at least {SMALLEST_BLOCK} bytes, at most {BLOCKS} of them at a time."
        )
    step = block or max(1, stop - start)
    found = []
    for begin in range(start, max(stop, start + 1), step):
        found.append(await _digest(reader, algorithm, begin, min(begin + step, stop)))
    return b"".join(found)


async def _digest(reader: ReadHandle, algorithm: str, start: int, stop: int) -> bytes:
    running = hashlib.new(algorithm, usedforsecurity=False)
    while start < stop:
        piece = await reader.read(start, min(start + _PIECE, stop))
        if not piece:
            break
        await asyncio.to_thread(running.update, piece)
        start += len(piece)
    return running.digest()


@dataclass(frozen=True, slots=True)
class Command:
    """`sha256sum NAME…`. Without a name it is the digest of nothing, by which rclone finds out what there is."""

    algorithm: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OldCopy:
    """`scp -t` and `scp -f`, as `scp -O` and OpenSSH before 9.0 run them. Not carried out, but told what to do instead."""

    said: bytes = (
        b"This server speaks SFTP only: the old protocol of scp would need a shell. "
        b"Use scp without -O (add -s where your scp is older than 9.0), or sftp.\n"
    )


def command_of(text: str) -> Command | OldCopy | None:
    """The command, where it is one of those that there are; every other is refused."""
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if words and words[0].rpartition("/")[2] == "scp" and {"-t", "-f"} & set(words):
        return OldCopy()
    if not words or words[0] not in _COMMANDS:
        return None
    names = tuple(word for word in words[1:] if word not in ("--", "-b", "--binary", "-t", "--text"))
    if any(name.startswith("-") and name != "-" for name in names):
        return None
    return Command(_COMMANDS[words[0]], names)


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command prints, and how it ends."""

    out: bytes
    error: bytes
    status: int


async def carry_out(command: Command | OldCopy, open_file: Callable[[bytes], Awaitable[ReadHandle]]) -> Printed:
    """The digest of each file, a line each, as GNU's program prints it."""
    if isinstance(command, OldCopy):
        return Printed(b"", command.said, 1)
    out, error = [], []
    for name in command.names or ("-",):
        try:
            hexed = await _hex(command.algorithm, name, open_file)
        except EftError as refused:
            error.append(f"{command.algorithm}sum: {name}: {refused.detail} {refused.remedy}\n")
            continue
        out.append(_line(hexed, name))
    return Printed("".join(out).encode(errors="surrogateescape"), "".join(error).encode(errors="replace"), 1 if error else 0)


def _line(hexed: str, name: str) -> str:
    shown = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return ("\\" if shown != name else "") + f"{hexed}  {shown}\n"


async def _hex(algorithm: str, name: str, open_file: Callable[[bytes], Awaitable[ReadHandle]]) -> str:
    if name == "-":
        return hashlib.new(algorithm, b"", usedforsecurity=False).hexdigest()
    reader = await open_file(name.encode(errors="surrogateescape"))
    try:
        return (await digests(reader, algorithm, 0, 0, 0)).hex()
    finally:
        reader.close()
