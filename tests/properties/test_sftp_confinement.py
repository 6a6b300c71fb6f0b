"""No sequence of requests leads out of a case: a state machine sends them to three sessions of two cases, and asks a model.

Two sessions share the first case, so that they take files from each other; the third has the second case. All three have the
same names for their handles. What is asked for uses the names of everything there is, in every spelling, and those of the other
case. After each request the case is as the model says, and the other one has not changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
import hashlib
import logging
import os
from pathlib import Path
import sys
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
import pytest

from eft.sftp_temp import early
from tests.properties.sftp_model import HANDLES, READ, WRITE, Case, File, Handle, Listing, Reader, Writer, is_reserved, resolved
from tests.properties.sftp_sessions import World, status, world, world_behind_a_door
from tests.unit.sftp import wire

SESSIONS = (0, 0, 1)
"""Which of the two cases each session has."""
SECRETS = (b"what support sent to the first case", b"what support sent to the second case")
MARKS = (b"<written in the first case>", b"<written in the second case>")

PLAIN = (b"a", b"a", b"b", b"d", b"d", b"d/a", b"d/e", b"d/e/a", b"e", b"e/a", b"a.tmp", b"b.part", b"a.sha256")
HOSTILE = (
    b"",
    b"/",
    b".",
    b"..",
    b"...",
    b"from-support",
    b"from-support/hello",
    b"from-support/a",
    b"FROM-SUPPORT",
    b"receipts",
    b"receipts/a.sha256",
    b"receipts/a.receipt",
    b"receipts/..",
    b"d/../../a",
    b"d/../from-support/hello",
    b"from-support/../a",
    b"a\0",
    b"a\0/../../b",
    b"a\n",
    b"a\\b",
    b"..\\a",
    b"C:\\a",
    b"~",
    b"~root/a",
    b"$HOME",
    b"%2e%2e/a",
    b"\xc0\xae\xc0\xae/a",
    b"\xc0\xafetc",
    b"\xed\xa0\x80",
    b"\xff",
    b"a\xcc\x88",
    b"\xc3\xa4",
    b"\xe2\x80\xaea",
    b"\xef\xbc\x8f",
    b"\xef\xbc\x8e\xef\xbc\x8e/a",
    b"a.",
    b"a ",
    b" a",
    b"A",
    b"CON",
    b"a:stream",
    b"-rf",
    b"*",
    b"a" * 255,
    b"a" * 256,
    b"d/" * 33 + b"a",
    b"x/" * 600,
    b"a" * 4096,
    b"a" * 4097,
    b"etc/passwd",
    b"proc/self/environ",
)
ELSEWHERE = (b"%s", b"../%s", b"/%s/a", b"../%s/from-support/hello", b"../../%s/a", b"from-support/../../%s/a")
"""With the other case's id."""
SPELLINGS = (
    b"%s",
    b"/%s",
    b"./%s",
    b"//%s",
    b"../%s",
    b"%s/",
    b"%s/.",
    b"d/../%s",
    b"x/../%s",
    b"/../../%s",
    b"%s//",
    b"%s/x/..",
)

PATHS = st.one_of(
    *(st.sampled_from(PLAIN) for _ in range(6)),
    st.builds(lambda spelling, name: spelling.replace(b"%s", name), st.sampled_from(SPELLINGS), st.sampled_from(PLAIN)),
    st.sampled_from(HOSTILE),
    st.sampled_from(ELSEWHERE),
    st.builds(lambda first, second: first + b"/" + second, st.sampled_from(PLAIN), st.sampled_from(HOSTILE)),
    st.binary(max_size=12),
)
NUMBERS = st.sampled_from((0, 0, 0, 1, 2))
FLAGS = st.one_of(st.sampled_from((1, 2, 10, 14, 26, 27, 42, 58)), st.integers(0, 63), st.sampled_from((0x40 | 26, 2**32 - 1)))
OFFSETS = st.one_of(st.integers(0, 64), st.sampled_from((65_536, 2**21, 2**32, 2**63, 2**64 - 1)))
LENGTHS = st.sampled_from((0, 1, 7, 30, 300, 70_000))
WHICH = st.one_of(st.integers(0, 2), st.integers(0, HANDLES))
FORGED = st.sampled_from(
    (b"", b"\0", b"\0\0\0\0", b"\0\0\0\x63", b"\xff\xff\xff\xff", b"a", b"/a", b"x" * 64, b"x" * 65, b"x" * 300)
)
UNKNOWN = (
    b"hardlink@openssh.com",
    b"lsetstat@openssh.com",
    b"users-groups-by-id@openssh.com",
    b"expand-path@openssh.com",
    b"home-directory",
    b"text-seek",
    b"space-available",
    b"",
    b"\0" * 20,
    b"x" * 5000,
)


class Confinement(RuleBasedStateMachine):
    """Each rule is one request, and what is to come of it."""

    runner: ClassVar[asyncio.Runner]
    world: ClassVar[World]

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @initialize()
    def begin(self) -> None:
        self.ids = [self.run(self.world.new_case(secret)) for secret in SECRETS]
        self.cases = [Case({"hello": secret}) for secret in SECRETS]
        self.sessions = [self.run(self.world.session(self.ids[case])) for case in SESSIONS]
        self.handles: list[dict[bytes, Handle]] = [{} for _ in SESSIONS]
        self.closed: list[set[bytes]] = [set() for _ in SESSIONS]
        for number in (0, 2):
            for raw in (b"d", b"d/e"):
                self.make_directory(number, raw)
            for raw, size in ((b"a", 30), (b"d/a", 40_000), (b"d/e/a", 0)):
                self.put(number, raw, size, 26)
        self.time_passes(1000)

    # Asking

    def path(self, number: int, raw: bytes) -> tuple[bytes, str | None]:
        """The name as it is sent, and what it stands for."""
        raw = raw.replace(b"%s", self.ids[1 - SESSIONS[number]].encode())
        return wire.string(raw), resolved(raw)

    def handle(self, number: int, which: int, forged: bytes) -> tuple[bytes, Handle | None]:
        """One of the session's handles, or one that is none: closed, of another session, or made up."""
        mine = self.handles[number]
        if which < len(mine):
            name = sorted(mine)[which]
            return wire.string(name), mine[name]
        others = {name for there in self.handles for name in there} | self.closed[number]
        strange = sorted(others - set(mine))
        name = strange[len(forged) % len(strange)] if strange and which == HANDLES else forged
        return wire.string(name), mine.get(name)

    def ask(self, number: int, kind: int, *fields: bytes) -> wire.Reply:
        """The answer. Nothing of the other case is in it."""
        session = self.sessions[number]
        reply = self.run(session.ask(kind, *fields))
        assert SECRETS[1 - SESSIONS[number]] not in session.heard
        assert MARKS[1 - SESSIONS[number]] not in session.heard
        return reply

    def tell(self, number: int, expected: bool, kind: int, *fields: bytes) -> None:
        """A request that is answered with a STATUS alone: OK where it is expected, and an error with a sentence if not."""
        reply = self.ask(number, kind, *fields)
        told = status(reply)
        assert told is not None
        assert (told == 0) == expected, (kind, fields, told, reply.message)
        assert told == 0 or reply.message
        self.check(number)

    def refused(self, reply: wire.Reply) -> None:
        assert status(reply), reply
        assert reply.message

    def is_written_by_another(self, number: int, path: str) -> bool:
        file = self.case(number).files.get(path)
        return file is not None and file.writer is not None and file.writer not in self.handles[number].values()

    def case(self, number: int) -> Case:
        return self.cases[SESSIONS[number]]

    def left(self, number: int, handle: Handle) -> None:
        """A writer is gone without a CLOSE that counts. What it wrote stays; where it wrote nothing, either the file stays empty,
        or there is what was there before: nothing, or what some whole file of that name had."""
        path = self.case(number).left(handle) if isinstance(handle, Writer) else None
        if path is None:
            return
        case, case_id = self.case(number), self.ids[SESSIONS[number]]
        if path not in self.run(self.world.tree(case_id)):
            del case.files[path]
            return
        data = self.run(self.world.content(case_id, path))
        assert data in {bytes(case.files[path].data), *case.past.get(path, ())}
        case.files[path] = File(bytearray(data), touched=True)

    def check(self, number: int) -> None:
        """The session's case is what the model says."""
        self.compare(SESSIONS[number])

    def compare(self, case: int) -> None:
        tree = self.run(self.world.tree(self.ids[case]))
        mine = {path: size for path, size in tree.items() if not path.startswith("receipts/")}
        assert mine == self.expected(case, mine)
        named = {path.removeprefix("receipts/") for path in set(tree) - set(mine) if tree[path] is not None}
        assert named <= {name + ending for name in self.cases[case].ever for ending in (".sha256", ".receipt")}

    def expected(self, case: int, seen: dict[str, int | None]) -> dict[str, int | None]:
        """What `seen` is to be. Of a file that is being written what is durable is shown, to others than its writer."""
        model = self.cases[case]
        found: dict[str, int | None] = {"from-support": None, "receipts": None}
        found |= {f"from-support/{name}": len(data) for name, data in model.from_support.items()}
        found |= dict.fromkeys(model.made)
        for name, file in model.files.items():
            size = found[name] = len(file.data)
            if file.writer is not None and (shown := seen.get(name)) is not None and shown <= size:
                found[name] = shown
        return found

    # Files

    @rule(number=NUMBERS, raw=PATHS, flags=FLAGS)
    def open(self, number: int, raw: bytes, flags: int) -> None:
        sent, path = self.path(number, raw)
        case, mine = self.case(number), self.handles[number]
        made: Handle | None = None
        if path is not None and len(mine) < HANDLES:
            if flags & 6:
                made = case.open_to_write(path, flags)
            elif flags & READ and path.split("/")[0] != "receipts" and (data := case.file(path)) is not None:
                made = Reader(data)
        reply = self.ask(number, 3, sent, wire.u32(flags), wire.NO_ATTRIBUTES)
        if made is None and path is not None and path.startswith("receipts/") and reply.kind == 102:
            assert not flags & 6
            self.ask(number, 4, wire.string(reply.handle))
            self.closed[number].add(reply.handle)
            return
        if made is None:
            self.refused(reply)
        else:
            assert reply.handle not in mine
            assert reply.handle not in self.closed[number]
            mine[reply.handle] = made
        self.check(number)

    @rule(number=NUMBERS, raw=PATHS, length=LENGTHS, flags=st.sampled_from((26, 26, 10, 14)))
    def put(self, number: int, raw: bytes, length: int, flags: int) -> None:
        """A file as clients send it."""
        before = set(self.handles[number])
        self.open(number, raw, flags)
        (made, *_) = [*(set(self.handles[number]) - before), None]
        if made is not None:
            which = sorted(self.handles[number]).index(made)
            self.write(number, which, b"", 0, length, True)
            self.close(number, which, b"")

    @rule(number=NUMBERS, which=WHICH, forged=FORGED, offset=OFFSETS, length=LENGTHS, behind=st.booleans())
    def write(self, number: int, which: int, forged: bytes, offset: int, length: int, behind: bool) -> None:
        sent, handle = self.handle(number, which, forged)
        data = (MARKS[SESSIONS[number]] * (length // 20 + 1))[:length]
        if behind and isinstance(handle, Writer):
            offset = handle.position
        expected = isinstance(handle, Writer) and handle.put(offset, data)
        self.tell(number, expected, 6, sent, wire.u64(offset), wire.string(data))

    @rule(number=NUMBERS, which=WHICH, forged=FORGED, offset=OFFSETS, length=st.sampled_from((0, 1, 100, 32_768, 2**32 - 1)))
    def read(self, number: int, which: int, forged: bytes, offset: int, length: int) -> None:
        sent, handle = self.handle(number, which, forged)
        reply = self.ask(number, 5, sent, wire.u64(offset), wire.u32(length))
        if isinstance(handle, Reader):
            data = handle.data
        elif isinstance(handle, Writer) and handle.readable and not handle.dead:
            data = bytes(handle.file.data)
        else:
            self.refused(reply)
            return
        piece = data[offset : offset + min(length, 255 * 1024)]
        if status(reply) is None:
            assert reply.data == piece
        else:
            assert not piece
            assert reply.code == 1

    @rule(number=NUMBERS, which=WHICH, forged=FORGED)
    def close(self, number: int, which: int, forged: bytes) -> None:
        sent, handle = self.handle(number, which, forged)
        expected = handle is not None
        if handle is not None:
            name = sent[4:]
            del self.handles[number][name]
            self.closed[number].add(name)
        if isinstance(handle, Writer):
            expected = not handle.dead and not handle.waiting
            if expected:
                handle.die()
                self.case(number).closed(handle.file)
        reply = self.ask(number, 4, sent)
        assert (status(reply) == 0) == expected, (handle, reply)
        if handle is not None and not expected:
            self.left(number, handle)
        self.check(number)

    @rule(number=NUMBERS, which=WHICH, forged=FORGED)
    def fstat(self, number: int, which: int, forged: bytes) -> None:
        sent, handle = self.handle(number, which, forged)
        reply = self.ask(number, 8, sent)
        if handle is None:
            self.refused(reply)
        elif isinstance(handle, Reader):
            assert reply.facts["size"] == len(handle.data)
        elif isinstance(handle, Writer) and not handle.dead:
            assert reply.facts["size"] == len(handle.file.data)

    @rule(number=NUMBERS, which=WHICH, forged=FORGED, size=st.one_of(st.none(), st.integers(0, 40), OFFSETS))
    def fsetstat(self, number: int, which: int, forged: bytes, size: int | None) -> None:
        sent, handle = self.handle(number, which, forged)
        if isinstance(handle, Writer) and handle.dead:
            self.ask(number, 10, sent, wire.attributes(size=size, mode=0o777))
            self.check(number)
            return
        expected = handle is not None and size is None
        if isinstance(handle, Writer) and size is not None:
            there = handle.file.data
            expected = size == len(there) or (size < len(there) and not handle.waiting)
            if size < len(there) and handle.waiting:
                handle.die()
            elif expected and size < len(there):
                del there[size:]
                handle.position = size
        self.tell(number, expected, 10, sent, wire.attributes(size=size, mode=0o777))

    @rule(
        number=NUMBERS,
        source=WHICH,
        into=WHICH,
        forged=FORGED,
        start=OFFSETS,
        length=st.sampled_from((0, 5, 2**63)),
        offset=OFFSETS,
    )
    def copy(self, number: int, source: int, into: int, forged: bytes, start: int, length: int, offset: int) -> None:
        sent, reader = self.handle(number, source, forged)
        sent_too, writer = self.handle(number, into, forged)
        expected = isinstance(reader, Reader) and isinstance(writer, Writer)
        if isinstance(reader, Reader) and isinstance(writer, Writer):
            piece = reader.data[start : start + length] if length else reader.data[start:]
            expected = not piece or writer.put(offset, piece)
        fields = (wire.string("copy-data"), sent, wire.u64(start), wire.u64(length), sent_too, wire.u64(offset))
        self.tell(number, expected, 200, *fields)

    @rule(number=NUMBERS, which=WHICH, forged=FORGED)
    def fsync(self, number: int, which: int, forged: bytes) -> None:
        sent, handle = self.handle(number, which, forged)
        expected = handle is not None and not (isinstance(handle, Writer) and handle.dead)
        self.tell(number, expected, 200, wire.string("fsync@openssh.com"), sent)

    # Names

    @rule(number=NUMBERS, raw=PATHS, link=st.booleans())
    def stat(self, number: int, raw: bytes, link: bool) -> None:
        sent, path = self.path(number, raw)
        self.real_path(number, sent, path)
        for name in ("statvfs@openssh.com", "limits@openssh.com"):
            assert self.ask(number, 200, wire.string(name), sent).kind == 201 or len(raw) > 4000
        reply = self.ask(number, 7 if link else 17, sent)
        case = self.case(number)
        if path is not None and path.startswith("receipts/"):
            return
        if path is not None and case.is_directory(path):
            assert reply.facts["mode"] & 0o170000 == 0o040000
        elif path is not None and (data := case.file(path)) is not None:
            assert reply.facts["mode"] & 0o170000 == 0o100000
            size = reply.facts["size"]
            assert size == len(data) or (size < len(data) and self.is_written_by_another(number, path))
        else:
            self.refused(reply)

    def real_path(self, number: int, sent: bytes, path: str | None) -> None:
        reply = self.ask(number, 16, sent)
        if path is None:
            self.refused(reply)
        else:
            size = len(path.encode()) + 1
            assert reply.body == wire.u32(1) + 2 * (wire.u32(size) + b"/" + path.encode()) + bytes(4)

    @rule(number=NUMBERS, raw=PATHS, size=st.sampled_from((None, 0, 0, 5, 30, 2**64 - 1)), times=st.booleans())
    def setstat(self, number: int, raw: bytes, size: int | None, times: bool) -> None:
        sent, path = self.path(number, raw)
        case = self.case(number)
        fields = (sent, wire.attributes(size=size, mode=0o4777, times=(1, 1) if times else None))
        if path is None or path.startswith("receipts/"):
            self.ask(number, 9, *fields)
            self.check(number)
            return
        data = case.file(path)
        expected = size in (None, 0) if case.is_directory(path) else data is not None and size in (None, 0, len(data))
        if data is not None and is_reserved(path):
            expected = size in (None, len(data)) and not times
        elif data and size == 0:
            writer = case.files[path].writer
            if writer is not None and writer in self.handles[number].values():
                # It is open in this session: cut by its handle, and not by its name.
                expected = False
            else:
                emptied = case.open_to_write(path, 16 | WRITE)
                assert emptied is not None
                emptied.die()
                case.closed(emptied.file)
        self.tell(number, expected, 9, *fields)

    @rule(number=NUMBERS, raw=PATHS)
    def make_directory(self, number: int, raw: bytes) -> None:
        sent, path = self.path(number, raw)
        self.tell(number, path is not None and self.case(number).make(path), 14, sent, wire.NO_ATTRIBUTES)

    @rule(number=NUMBERS, raw=PATHS)
    def remove_directory(self, number: int, raw: bytes) -> None:
        sent, path = self.path(number, raw)
        self.tell(number, path is not None and self.case(number).remove_directory(path), 15, sent)

    @rule(number=NUMBERS, raw=PATHS)
    def remove(self, number: int, raw: bytes) -> None:
        sent, path = self.path(number, raw)
        self.tell(number, path is not None and self.case(number).remove(path), 13, sent)

    @rule(number=NUMBERS, old=PATHS, new=PATHS, replace=st.booleans())
    def rename(self, number: int, old: bytes, new: bytes, replace: bool) -> None:
        (sent, path), (sent_too, path_too) = self.path(number, old), self.path(number, new)
        expected = path is not None and path_too is not None and self.case(number).rename(path, path_too, replace=replace)
        if replace:
            self.tell(number, expected, 200, wire.string("posix-rename@openssh.com"), sent, sent_too)
        else:
            self.tell(number, expected, 18, sent, sent_too)

    @rule(number=NUMBERS, raw=PATHS)
    def open_directory(self, number: int, raw: bytes) -> None:
        sent, path = self.path(number, raw)
        reply = self.ask(number, 11, sent)
        case, mine = self.case(number), self.handles[number]
        if path is not None and is_reserved(path) and path.startswith("receipts"):
            if reply.kind == 102:
                self.closed[number].add(reply.handle)
                self.ask(number, 4, wire.string(reply.handle))
        elif path is not None and case.is_directory(path) and len(mine) < HANDLES:
            prefix = path + "/" if path else ""
            growing = {name for name, file in case.files.items() if file.writer is not None}
            listed = {name: None if prefix + name in growing else size for name, size in case.listing(path).items()}
            mine[reply.handle] = Listing(listed, {name for name in listed if prefix + name in growing})
        else:
            self.refused(reply)

    @rule(number=NUMBERS, which=WHICH, forged=FORGED)
    def read_directory(self, number: int, which: int, forged: bytes) -> None:
        sent, handle = self.handle(number, which, forged)
        reply = self.ask(number, 12, sent)
        if isinstance(handle, Listing) and handle.names:
            told = {
                name: None if facts["mode"] & 0o040000 or name in handle.growing else facts["size"]
                for name, _, facts in reply.names
            }
            assert told == handle.names
            assert not any("/" in name or name in ("", ".", "..") for name in told)
            handle.names = {}
        else:
            self.refused(reply)

    @rule(number=NUMBERS, kind=st.sampled_from((19, 20, 21, 22, 0, 2, 23, 99, 199, 201, 255, *UNKNOWN)), old=PATHS, new=PATHS)
    def link_and_extend(self, number: int, kind: int | bytes, old: bytes, new: bytes) -> None:
        """There are no links, and nothing that nobody asked for."""
        (sent, _), (sent_too, _) = self.path(number, old), self.path(number, new)
        if isinstance(kind, bytes):
            self.tell(number, False, 200, wire.string(kind), sent, sent_too)
        else:
            self.tell(number, False, kind, sent, sent_too)

    @rule(number=NUMBERS, raw=PATHS, start=st.integers(0, 40), length=st.sampled_from((0, 10, 2**63)))
    def digest(self, number: int, raw: bytes, start: int, length: int) -> None:
        sent, path = self.path(number, raw)
        asked = (wire.string("sha256"), wire.u64(start), wire.u64(length), wire.u32(0))
        reply = self.ask(number, 200, wire.string("check-file-name"), sent, *asked)
        if path is not None and path.startswith("receipts/"):
            return
        data = None if path is None else self.case(number).file(path)
        if data is None:
            self.refused(reply)
        else:
            piece = data[start : start + length] if length else data[start:]
            assert reply.body == wire.string("sha256") + hashlib.sha256(piece).digest()

    @rule(
        number=NUMBERS,
        which=WHICH,
        forged=FORGED,
        name=st.sampled_from(("check-file", "check-file-handle")),
        start=st.one_of(st.integers(0, 40), OFFSETS),
        length=st.sampled_from((0, 10, 2**63)),
    )
    def digest_of_handle(self, number: int, which: int, forged: bytes, name: str, start: int, length: int) -> None:
        sent, handle = self.handle(number, which, forged)
        asked = (wire.string("none,md5"), wire.u64(start), wire.u64(length), wire.u32(0))
        reply = self.ask(number, 200, wire.string(name), sent, *asked)
        if not isinstance(handle, Reader):
            self.refused(reply)
            return
        piece = handle.data[start : start + length] if length else handle.data[start:]
        tag = wire.string("check-file") if name == "check-file" else b""
        assert reply.body == tag + wire.string("md5") + hashlib.md5(piece, usedforsecurity=False).digest()

    # What happens beside it

    @rule(number=NUMBERS)
    def hang_up(self, number: int) -> None:
        """The connection ends, and another begins."""
        self.run(self.sessions[number].close())
        for handle in self.handles[number].values():
            self.left(number, handle)
        self.handles[number], self.closed[number] = {}, set()
        self.sessions[number] = self.run(self.world.session(self.ids[SESSIONS[number]]))
        self.check(number)

    @rule(seconds=st.sampled_from((1, 10, 1000)))
    def time_passes(self, seconds: int) -> None:
        """What was closed is published."""
        self.run(self.world.pass_time(seconds))
        self.look()

    @rule()
    def look(self) -> None:
        """Every file of either case has the bytes that it should have, and there is no other."""
        for case, (case_id, model) in enumerate(zip(self.ids, self.cases, strict=True)):
            self.compare(case)
            for path, file in model.files.items():
                assert self.run(self.world.content(case_id, path)) == bytes(file.data), path

    def teardown(self) -> None:
        if sys.exc_info()[0] is not None:
            return  # What went wrong is told, and nothing that comes of it.
        self.look()
        for session in self.sessions:
            self.run(session.close())


@pytest.fixture(params=[world])
def confinement(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Runs so many examples; nothing but warnings may be logged by any."""
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(early, "PATIENCE_S", 0.0)  # the one customer asks for nothing before it has its answer
    with asyncio.Runner() as runner:
        manager = request.param(tmp_path)
        Confinement.runner, Confinement.world = runner, runner.run(manager.__aenter__())

        def run(**how: Any) -> None:
            told = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), **how}
            run_state_machine_as_test(Confinement, settings=settings(**told))

        try:
            yield run
        finally:
            runner.run(manager.__aexit__(None, None, None))
    assert not [record.exc_info or record.getMessage() for record in caplog.records]


def test_no_sequence_of_requests_leads_out_of_a_case(confinement: Callable[..., None]) -> None:
    confinement(max_examples=20, stateful_step_count=40, derandomize=True, phases=(Phase.generate,))


@pytest.mark.parametrize("confinement", [world_behind_a_door], indirect=True)
def test_no_sequence_of_requests_over_ssh_leads_out_of_a_case(confinement: Callable[..., None]) -> None:
    confinement(max_examples=4, stateful_step_count=30, derandomize=True, phases=(Phase.generate,))


@pytest.mark.soak
def test_no_long_sequence_of_requests_leads_out_of_a_case(confinement: Callable[..., None]) -> None:
    examples = int(os.environ.get("EFT_EXAMPLES", "3000"))
    confinement(max_examples=examples, stateful_step_count=100, phases=(Phase.generate, Phase.shrink))
