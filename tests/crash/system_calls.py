"""What a process asked of the kernel, in order, as strace saw it: `strace -f -ttt -yy -s 0`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re

TRACED = (
    "openat,mkdirat,unlinkat,rename,renameat,renameat2,unlink,pwrite64,pwritev,pwritev2,fallocate,ftruncate,fdatasync,fsync,"
    "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg"
)
CHANGES = ("pwrite64", "pwritev", "pwritev2", "fallocate", "ftruncate")
SYNCS = ("fdatasync", "fsync")
RECEIVES = ("read", "readv", "recvfrom", "recvmsg")
SENDS = ("write", "writev", "sendto", "sendmsg")

_LINE = re.compile(r"(?P<pid>\d+) +(?P<at>\d+\.\d+) (?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_FILE = re.compile(r"\d+<(?P<target>[A-Za-z0-9-]+:\[.*?\]|[^>]*)>")
_NAME = re.compile(r'"(?P<name>[^"]*)"')


def traced_by(strace: str, output: Path) -> tuple[str, ...]:
    """The words to put in front of a command. It keeps its own process id: the tracer is a process beside it."""
    return (strace, "-D", "-f", "-ttt", "-yy", "-s", "0", "-e", f"trace={TRACED}", "-e", "signal=none", "-o", str(output))


@dataclass
class Call:
    """One system call on `target`: the file's path, or a socket as `TCP:[a:p->b:p]`. `began` and `ended` are places in the order
    of all beginnings and endings; `at` seconds since 1970. `created`: the path of an entry that it made or removed."""

    name: str
    target: str
    at: float
    began: int
    ended: int
    failed: bool
    entry: str | None = None

    @property
    def directory(self) -> str | None:
        return None if self.entry is None else self.entry.rpartition("/")[0]


def calls(trace: Path) -> list[Call]:
    """All of a trace that has a target, in the order in which they began."""
    found: list[Call] = []
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        matched = _LINE.match(line)
        if matched is None:
            continue
        pid, at, rest = matched["pid"], float(matched["at"]), matched["rest"]
        if resumed := _RESUMED.match(rest):
            call = open_calls.pop(pid, None)
            if call is not None:
                call.ended, call.failed = number, "= -1" in resumed["rest"]
            continue
        if (begun := _CALL.match(rest)) is None:
            continue
        call = _call(begun["name"], begun["arguments"], at, number)
        if call is None:
            continue
        found.append(call)
        if rest.endswith("<unfinished ...>"):
            open_calls[pid] = call
    return found


def _call(name: str, arguments: str, at: float, number: int) -> Call | None:
    target = _FILE.search(arguments)
    if target is None:
        return None
    entry = None
    if name.startswith(("mkdir", "unlink", "rename")) or (name == "openat" and "O_EXCL" in arguments):
        named = _NAME.search(arguments)
        entry = f"{target['target']}/{named['name']}" if named is not None and not named["name"].startswith("/") else None
    return Call(name, target["target"], at, number, number, "= -1" in arguments, entry)


def changes_not_synced(trace: list[Call], before: int, below: str) -> Iterator[Call]:
    """What was changed in files and directories below that path, and had not been synced when the call `before` began: bytes by
    an fdatasync or fsync of the file, entries by an fsync of their directory, begun after the change and ended in time."""
    for change in trace:
        if change.began >= before or change.failed:
            continue
        if change.entry is not None and change.directory is not None and change.directory.startswith(below):
            place, kinds = change.directory, ("fsync",)
        elif change.name in CHANGES and change.target.startswith(below):
            place, kinds = change.target, SYNCS
        else:
            continue
        if not any(
            sync.name in kinds and sync.target == place and change.ended < sync.began and sync.ended < before and not sync.failed
            for sync in trace
        ):
            yield change
