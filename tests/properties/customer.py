"""One customer of a case: what is asked, and what the answers must be after what was asked before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.fixtures.tls import Peer
from tests.properties.doors import Door
from tests.properties.model import File, Files, State
from tests.properties.wire import TUS, Fields, Told, answer_to, completeness, head_bytes, version_fields


@dataclass
class Writer:
    """A PATCH whose body stopped in the middle, its connection open."""

    peer: Peer
    protocol: int
    file: File
    start: int
    size: int
    completes: bool
    checked: bool
    tail: bytes


class Customer:
    """Knows what became of each of its files."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.files = Files()
        self.writers: dict[int, Writer] = {}

    def ask(self, method: str, path: str, fields: Fields, body: bytes = b"", *, token: str = "") -> Told:
        peer = self.door.peer()
        try:
            peer.send(head_bytes(method, path, token or self.door.token, fields) + body)
            return answer_to(peer, method)
        finally:
            peer.close()

    @contextmanager
    def displacing(self, file: File) -> Iterator[None]:
        """The request in this block takes over; what the one before sends after it does not count."""
        writer = self.writers.pop(file.number, None)
        yield
        if writer is not None:
            with suppress(OSError):
                writer.peer.send(writer.tail[:1000])
            writer.peer.close()

    def some(self, pick: int, *states: State, parts: bool | None = None) -> File | None:
        """One of the files in these states; None where there is none."""
        found = [file for file in self.files.all if file.state in states and parts in (None, file.is_part)]
        return found[pick % len(found)] if found else None

    def settle(self, file: File) -> None:
        """Asks where the file stands, if that is in doubt."""
        if file.unsure or file.low != file.high:
            self.check_head(file, TUS)

    def appended(self, file: File, protocol: int, end: int, completes: bool, told: Told) -> None:
        """A part was taken, up to `end`."""
        file.low = file.high = end
        finished = completes or (protocol <= 6 and file.length == end and not file.is_part)
        if finished:
            file.finish()
        status = 204 if protocol == TUS else 201 if protocol <= 6 else 200 if finished else 204
        assert (told.status, told.offset) == (status, end), (told.status, told.headers, told.body)
        assert told.headers.get("repr-digest", file.digest()) == file.digest()
        assert finished or "repr-digest" not in told.headers
        if protocol == TUS:
            assert ("upload-expires" in told.headers) != finished
        else:
            name, value = completeness(protocol, finished)
            assert told.headers[name.lower()] == value

    def check_head(self, file: File, protocol: int) -> Told:
        """Asks where a file stands, and whether that is as it should be."""
        if file.state in (State.WAITING, State.EITHER):
            protocol = TUS
        with self.displacing(file):
            told = self.ask("HEAD", file.path, version_fields(protocol))
        if file.state is State.GONE or (file.state is State.EITHER and told.status == 410):
            assert told.status == (404 if 3 <= protocol <= 6 else 410), told
            file.state = State.GONE
            return told
        assert told.status == (200 if protocol == TUS else 204), (file, told)
        assert told.headers["cache-control"] == "no-store"
        assert told.headers.get("upload-metadata", "") == file.metadata
        if file.state in (State.WAITING, State.EITHER):
            if "upload-offset" in told.headers:
                self.check_put_together(file, told)
            return told
        if file.state is State.OPEN:
            file.stands_at(told.offset)
            is_at_its_end = file.length == file.low and not file.is_part
            if is_at_its_end and (protocol <= 6 or (file.unsure and "repr-digest" in told.headers)):
                file.finish()
            file.unsure = file.unsure and file.state is State.OPEN and is_at_its_end
        assert told.offset == file.low
        assert told.headers.get("upload-length") == (None if file.length is None else str(file.length))
        if file.state is State.FINISHED:
            assert told.headers["repr-digest"] == file.digest()
        if protocol == TUS:
            assert ("upload-defer-length" in told.headers) == (file.length is None)
        else:
            name, value = completeness(protocol, file.state is State.FINISHED)
            assert told.headers[name.lower()] == value
        return told

    def check_put_together(self, final: File, told: Told) -> None:
        assert final.state is State.EITHER or all(part.is_whole for part in final.parts), final
        final.low = final.high = sum(part.length or 0 for part in final.parts)
        assert (told.offset, told.headers["upload-length"]) == (final.low, str(final.low))
        final.finish()
