"""Everything that a customer may do to `/files`, in any order, against a model of what must come of it."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
import json
import time
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.properties.customer import Customer, Writer
from tests.properties.doors import PATIENCE_S, Door
from tests.properties.model import File, State, checksum_field
from tests.properties.wire import (
    PROTOCOLS,
    TUS,
    answer_to,
    chunked,
    completeness,
    head_bytes,
    part_fields,
    version_fields,
)

has_files = precondition(lambda self: bool(self.files.all))
has_open = precondition(lambda self: any(file.state is State.OPEN for file in self.files.all))
has_finished = precondition(lambda self: any(file.state is State.FINISHED for file in self.files.all))
has_parts = precondition(lambda self: any(file.is_part for file in self.files.all))
has_writers = precondition(lambda self: bool(self.writers))

picks = st.integers(0, 1000)
protocols = st.sampled_from(PROTOCOLS)
sizes = st.sampled_from([0, 1, 5, 1000, 70_000, 70_000, 300_000, 1_200_000])
checks = st.sampled_from([None, None, None, "sha1", "sha256", "md5", "content-digest"])


class FilesMachine(Customer, RuleBasedStateMachine):
    """`at` is set, and `kills` given anew, before each run."""

    at: ClassVar[Door]
    kills: ClassVar[int] = 0

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        Customer.__init__(self, self.at)
        self.door.new_case()

    @rule(protocol=protocols, size=sizes, body=sizes, known=st.booleans(), part=st.booleans(), check=checks, right=st.booleans())
    def create(self, protocol: int, size: int, body: int, known: bool, part: bool, check: str | None, right: bool) -> None:
        body = min(body, size)
        file = File(len(self.files.all), "", size if known else None)
        file.is_part = part and protocol == TUS
        file.metadata = f"filename {b64encode(f'file {file.number}.log'.encode()).decode()}"
        complete = protocol != TUS and body == size
        data = file.content(0, body)
        fields = [*version_fields(protocol), ("Upload-Metadata", file.metadata), ("Content-Length", str(body))]
        if known:
            fields.append(("Upload-Length", str(size)))
        if protocol == TUS:
            fields += [] if known else [("Upload-Defer-Length", "1")]
            fields += [("Upload-Concat", "partial")] if file.is_part else []
            fields += [("Content-Type", "application/offset+octet-stream")] if body else []
        else:
            fields.append(completeness(protocol, complete))
        if check is not None and body:
            fields.append(checksum_field(check, data, right=right))
        else:
            right = True
        told = self.ask("POST", "/files", fields, data)
        if complete:
            file.length = size
        if not right:
            assert told.status == (460 if protocol == TUS else 400)
            if protocol != TUS:  # it was announced before its body came
                file.path = told.location
                self.files.add(file)
            return
        assert told.status == 201, (told.status, told.body)
        file.path = told.location
        file.low = file.high = body
        if body or protocol != TUS:
            assert told.offset == body
        self.files.add(file)
        if complete or (protocol <= 6 and file.length == body and not file.is_part):
            file.finish()
            assert told.headers.get("repr-digest", file.digest()) == file.digest()

    @has_open
    @rule(
        pick=picks,
        protocol=protocols,
        size=sizes,
        ends=st.booleans(),
        in_chunks=st.booleans(),
        check=checks,
        right=st.booleans(),
        as_trailer=st.booleans(),
        tells=st.sampled_from([None, 0, 10]),
    )
    def append(
        self,
        pick: int,
        protocol: int,
        size: int,
        ends: bool,
        in_chunks: bool,
        check: str | None,
        right: bool,
        as_trailer: bool,
        tells: int | None,
    ) -> None:
        file = self.some(pick, State.OPEN)
        if file is None:
            return
        self.settle(file)
        if file.state is not State.OPEN:
            return
        protocol = TUS if file.is_part else protocol
        size = min(size, file.room)
        end = file.low + size
        data = file.content(file.low, end)
        completes = protocol != TUS and ends and file.length in (None, end)
        fields = [*version_fields(protocol), *part_fields(protocol, file.low, completes)]
        said = [] if check is None else [checksum_field(check, data, right=right)]
        right = right or check is None
        if protocol == TUS and file.length is None and tells is not None and right:
            file.length = end + tells
            fields.append(("Upload-Length", str(file.length)))
        if in_chunks:
            fields.append(("Transfer-Encoding", "chunked"))
            if said and as_trailer:
                fields.append(("Trailer", said[0][0]))
                body = chunked(data, said)
            else:
                fields += said
                body = chunked(data, [])
        else:
            fields += [("Content-Length", str(size)), *said]
            body = data
            if completes:
                file.length = end
        with self.displacing(file):
            told = self.ask("PATCH", file.path, fields, body)
        if not right:
            assert told.status == (460 if protocol == TUS else 400), (told.status, told.body)
            return
        self.appended(file, protocol, end, completes, told)

    @has_files
    @rule(pick=picks, protocol=protocols, by=st.sampled_from([-1, 1, 1000, -1_000_000]), size=st.sampled_from([0, 1, 1000]))
    def append_elsewhere(self, pick: int, protocol: int, by: int, size: int) -> None:
        file = self.some(pick, State.OPEN, State.FINISHED)
        if file is None:
            return
        self.settle(file)
        offset = max(0, file.low + by)
        status: tuple[int, ...] = (409,)
        if file.parts:
            status = (403,)
        elif offset == file.low:
            return
        fields = [*version_fields(protocol), *part_fields(protocol, offset, False), ("Content-Length", str(size))]
        writer = self.writers.get(file.number)
        if writer is not None and not writer.checked:  # it goes on
            told = self.ask("PATCH", file.path, fields, bytes(size))
        else:
            with self.displacing(file):
                told = self.ask("PATCH", file.path, fields, bytes(size))
        assert told.status in status, (told.status, told.body)
        if told.status == 409:
            assert told.offset == file.low

    @has_finished
    @rule(pick=picks, protocol=protocols, size=st.sampled_from([0, 1]))
    def append_to_a_finished_one(self, pick: int, protocol: int, size: int) -> None:
        file = self.some(pick, State.FINISHED)
        if file is None or file.parts:
            return
        fields = [*version_fields(protocol), *part_fields(protocol, file.low, True), ("Content-Length", str(size))]
        with self.displacing(file):
            told = self.ask("PATCH", file.path, fields, bytes(size))
        if size:
            assert told.status == (409 if protocol == TUS else 400)
        else:
            self.appended(file, protocol, file.low, True, told)

    @has_open
    @rule(pick=picks, protocol=protocols, more=st.sampled_from([1, 70_000]))
    def append_too_much(self, pick: int, protocol: int, more: int) -> None:
        file = self.some(pick, State.OPEN)
        if file is None or file.length is None:
            return
        self.settle(file)
        if file.state is not State.OPEN:
            return
        protocol = TUS if file.is_part else protocol
        size = file.room + more
        fields = [*version_fields(protocol), *part_fields(protocol, file.low, False), ("Content-Length", str(size))]
        with self.displacing(file):
            told = self.ask("PATCH", file.path, fields, bytes(size))
        assert told.status == (413 if protocol == TUS else 400)
        if protocol >= 8:
            file.state = State.GONE

    @has_open
    @rule(pick=picks, protocol=protocols, size=sizes, share=st.floats(0, 1), ends=st.booleans(), checked=st.booleans())
    def stop_in_the_middle(self, pick: int, protocol: int, size: int, share: float, ends: bool, checked: bool) -> None:
        """Sends a part of a body, and leaves the connection open."""
        file = self.some(pick, State.OPEN)
        if file is None:
            return
        self.settle(file)
        size = min(size, file.room)
        if file.state is not State.OPEN or size == 0:
            return
        protocol = TUS if file.is_part else protocol
        end, sent = file.low + size, int(share * (size - 1))
        data = file.content(file.low, end)
        completes = protocol != TUS and ends and file.length in (None, end)
        fields = [*version_fields(protocol), *part_fields(protocol, file.low, completes), ("Content-Length", str(size))]
        fields += [checksum_field("sha1", data, right=True)] if checked else []
        peer = self.door.peer()
        with self.displacing(file):
            peer.send(head_bytes("PATCH", file.path, self.door.token, [*fields, ("Expect", "100-continue")]))
            assert peer.answer().status == 100  # from here on it is this request that writes
        peer.send(data[:sent])
        file.length = end if completes else file.length
        file.high = file.low if checked else file.low + sent
        self.writers[file.number] = Writer(peer, protocol, file, file.low, size, completes, checked, data[sent:])

    @has_writers
    @rule(pick=picks, cut=st.booleans())
    def go_on_or_cut(self, pick: int, cut: bool) -> None:
        """What stopped in the middle goes on, or its connection is reset."""
        writer = self.writers.pop(sorted(self.writers)[pick % len(self.writers)])
        file, end = writer.file, writer.start + writer.size
        if cut:
            writer.peer.vanish()
            return
        writer.peer.send(writer.tail)
        told = answer_to(writer.peer, "PATCH")
        writer.peer.close()
        if told.status == 408:  # it was waited for too long
            return
        self.appended(file, writer.protocol, end, writer.completes, told)

    @has_writers
    @rule(pick=picks, protocol=protocols, size=st.sampled_from([1, 1000, 70_000]))
    def a_second_writer_comes(self, pick: int, protocol: int, size: int) -> None:
        file = self.writers[sorted(self.writers)[pick % len(self.writers)]].file
        protocol = TUS if file.is_part else protocol
        size = min(size, file.room)
        end = file.low + size
        fields = [*version_fields(protocol), *part_fields(protocol, file.low, False), ("Content-Length", str(size))]
        writer = self.writers.pop(file.number)
        told = self.ask("PATCH", file.path, fields, file.content(file.low, end))
        if told.status == 409:
            assert not writer.checked
            assert file.low < told.offset <= file.high
            file.low = told.offset
            self.writers[file.number] = writer  # it goes on, as it is past the place
            return
        with suppress(OSError):
            writer.peer.send(writer.tail[:1000])
        writer.peer.close()
        self.appended(file, protocol, end, False, told)

    @has_files
    @rule(pick=picks, protocol=protocols)
    def head(self, pick: int, protocol: int) -> None:
        self.check_head(self.files.all[pick % len(self.files.all)], protocol)

    @rule()
    def renew_the_token(self) -> None:
        self.door.renew_token()

    @has_files
    @rule(pick=picks, protocol=protocols, method=st.sampled_from(["HEAD", "GET", "PATCH", "DELETE"]))
    def a_stranger_asks(self, pick: int, protocol: int, method: str) -> None:
        """The sender of another case finds nothing, and stops nobody."""
        file = self.files.all[pick % len(self.files.all)]
        fields = [*version_fields(protocol), *(part_fields(protocol, file.low, True) if method == "PATCH" else [])]
        assert self.ask(method, file.path, fields, token=self.door.stranger).status == 404
        if file.is_part:
            named = [*version_fields(TUS), ("Upload-Concat", f"final;{file.path}")]
            assert self.ask("POST", "/files", named, token=self.door.stranger).status == 404

    @has_files
    @rule(pick=picks, start=picks, stop=picks)
    def get(self, pick: int, start: int, stop: int) -> None:
        file = self.some(pick, State.OPEN, State.FINISHED)
        if file is None:
            return
        told = self.ask("GET", file.path, [*version_fields(TUS), ("Range", f"bytes={start}-{start + stop}")])
        if file.state is State.FINISHED:
            wanted = file.content(0, file.low)[start : start + stop + 1]
            assert (told.status, told.body) == ((206, wanted) if wanted else (416, told.body))
        elif not file.unsure:
            assert told.status == 204
            assert file.low <= told.offset <= file.high

    @has_files
    @rule(pick=picks, protocol=protocols)
    def delete(self, pick: int, protocol: int) -> None:
        file = self.some(pick, *State)
        if file is None:
            return
        with self.displacing(file):
            told = self.ask("DELETE", file.path, version_fields(protocol))
        gone = 404 if 3 <= protocol <= 6 else 410
        may = {State.GONE: {gone}, State.EITHER: {204, gone}}.get(file.state, {204})
        assert told.status in may, (told.status, told.body)
        file.state = State.GONE
        self.files.lose(file)

    @has_parts
    @rule(chosen=st.lists(picks, min_size=1, max_size=4), name=st.sampled_from(["whole.log", "other.log"]))
    def put_together(self, chosen: list[int], name: str) -> None:
        found = [file for file in self.files.all if file.is_part]
        if not found:
            return
        parts = tuple(found[pick % len(found)] for pick in chosen)
        for part in parts:
            if part.state is State.OPEN:
                self.settle(part)
        metadata = f"filename {b64encode(name.encode()).decode()}"
        same = [
            file for file in self.files.all if (file.parts, file.metadata) == (parts, metadata) and file.state is not State.GONE
        ]
        if any(file.state is State.EITHER for file in same):
            return
        listed = "final;" + " ".join(part.path for part in parts)
        told = self.ask("POST", "/files", [*version_fields(TUS), ("Upload-Concat", listed), ("Upload-Metadata", metadata)])
        if not same and any(part.state is State.GONE for part in parts):
            assert told.status == 410
            return
        assert told.status == 201, (told.status, told.body)
        if same:
            assert told.location == same[0].path
            final = same[0]
        else:
            assert told.location not in {file.path for file in self.files.all}
            final = self.files.add(File(len(self.files.all), told.location, None, metadata, parts=parts, state=State.WAITING))
        if final.state is State.WAITING and all(part.is_whole for part in parts):
            self.check_put_together(final, told)

    @precondition(lambda self: self.door.can_be_killed and type(self).kills > 0 and self.files.all)
    @rule()
    def kill(self) -> None:
        type(self).kills -= 1
        self.door.kill()
        for writer in self.writers.values():
            writer.peer.close()
        self.writers.clear()
        for file in self.files.all:
            # What was whole when its writer died is published without anybody asking.
            file.unsure = file.state is State.OPEN and not file.is_part and file.high == file.length

    @precondition(lambda self: self.door.has_clock and self.files.all)
    @rule(days=st.sampled_from([0.1, 6, 13, 15]))
    def time_passes(self, days: float) -> None:
        expiry: dict[int, datetime] = {}
        for file in self.files.all:
            if file.state in (State.OPEN, State.WAITING, State.EITHER):
                told = self.check_head(file, TUS)
                if "upload-expires" in told.headers:
                    expiry[file.number] = parsedate_to_datetime(told.headers["upload-expires"])
        ready = [file for file in self.files.all if file.state is State.WAITING and all(part.is_whole for part in file.parts)]
        self.door.pass_time(days, [file.id for file in self.files.all])
        for file in self.files.all:
            if file.number in expiry and expiry[file.number] <= self.door.now():
                file.state = State.EITHER if file in ready else State.GONE
                self.files.lose(file)

    def teardown(self) -> None:
        """Everything is where it was acknowledged to be, and nothing else is there."""
        self.door.tick()
        deadline = time.monotonic() + PATIENCE_S
        for file in self.files.all:
            self.check_head(file, TUS)
            while file.state is State.EITHER or (file.state is State.WAITING and all(part.is_whole for part in file.parts)):
                assert time.monotonic() < deadline, file
                time.sleep(0.2)
                self.check_head(file, TUS)
        told = self.ask("GET", "/files?limit=500", version_fields(TUS))
        document: dict[str, Any] = json.loads(told.body)
        finished = {file.id: (file.low, file.digest()) for file in self.files.all if file.state is State.FINISHED}
        assert {item["id"]: item["size"] for item in document["items"]} == {key: size for key, (size, _) in finished.items()}
        open_ones = {file.id for file in self.files.all if file.state in (State.OPEN, State.WAITING) and not file.is_part}
        listed = {item["id"] for item in document["uploads"]}
        assert listed == open_ones, [file for file in self.files.all if file.id in listed ^ open_ones] or listed - open_ones
        for file in self.files.all:
            if file.state is State.FINISHED:
                assert self.ask("GET", file.path, version_fields(TUS)).body == file.content(0, file.low)
