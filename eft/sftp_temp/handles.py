"""Open files and directories of one session."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from eft.domain.errors import Busy, EftError, Invalid, NotSequential, WriterDisplaced
from eft.sftp_temp.ports import ReadHandle, Reception
from eft.sftp_temp.reorder import Allowance, Parts, ReorderWindow
from eft.sftp_temp.replies import TRANSFER_BYTES, Facts
from eft.transfers.shown_path import is_temporary_name

FULL_SIZED = 8 * 1024
"""Bytes. Clients that write less at a time do not leave the traces by which a cut `put` is told."""
PIECES_AHEAD = 1024
USUAL_SIZES = frozenset({32 * 1024, TRANSFER_BYTES})
"""How much OpenSSH writes at a time. One single write is taken for full-sized if it is as long as that."""
LIBSSH2_WRITE, LIBSSH2_BUFFER = 30_000, 16 * 1024
"""Bytes. libssh2 sends what it is given in WRITEs of this size and one of what is left. curl gives it buffers of 64 KiB, and ends
between two of them."""


class WritableFile:
    """A file that is being written: in order into its reception, what comes early waiting in a window.

    The first error stays: every later write gets it too, and a CLOSE after it never settles the file.
    """

    def __init__(
        self,
        reception: Reception,
        *,
        append: bool,
        window_bytes: int,
        allowance: Allowance,
        readable: bool = False,
    ) -> None:
        self.reception = reception
        self.readable = readable
        self.error: EftError | None = None
        self.modified_at: datetime | None = None
        self._append = append
        self._window = ReorderWindow(window_bytes, allowance)
        self._largest = 0
        self._total = 0
        self._count = 0

    @property
    def path(self) -> str:
        """Where the file stands by now."""
        return self.reception.path

    @property
    def is_alive(self) -> bool:
        """Whether the file is still this handle's: nobody took it over or removed it, and nothing went wrong."""
        return self.error is None and not self.reception.displaced.is_set()

    @property
    def has_hole(self) -> bool:
        """Whether a write waits for bytes before it."""
        return bool(self._window)

    def write(self, offset: int, parts: Parts, length: int) -> None:
        """Takes one WRITE. With APPEND the offset says nothing: it goes to the end, §6.3. Raises EftError."""
        self._check()
        try:
            self._write(offset, parts, length)
        except EftError as error:
            self.fail(error)
            raise

    def goes_on(self, offset: int) -> bool:
        """Whether a WRITE there is simply what comes next."""
        return self.error is None and not self._window and offset == self.reception.offset

    def write_run(self, data: bytes, length: int) -> bool:
        """Takes WRITEs of `length` bytes each that go on. False where something is in the way: then nothing was taken, and what
        it is they are told when they are written one by one."""
        try:
            self._check()
            self.reception.offer(data)
        except EftError:
            return False
        self._count += len(data) // length
        self._total += len(data)
        self._largest = max(self._largest, length)
        return True

    def is_behind(self, offset: int) -> bool:
        """Whether a WRITE there goes over bytes that the file has already, or on at its end after such a one: a `rewrite`."""
        return not self._append and offset != self.reception.offset and offset <= self.reception.size

    async def rewrite(self, offset: int, parts: Parts, length: int) -> None:
        """Takes one WRITE over bytes that were written before. Raises EftError."""
        self._check()
        try:
            await self.reception.rewrite(offset, b"".join(parts))
            self._note(length)
            self._follow(offset + length)
        except EftError as error:
            self.fail(error)
            raise

    def _check(self) -> None:
        """Raises what went wrong, or that another writer has the file."""
        if self.reception.displaced.is_set():
            self.fail(WriterDisplaced())
        if self.error is not None:
            raise self.error

    def fail(self, error: EftError) -> None:
        """From now on nothing is taken, for this reason. The first reason stays."""
        if self.error is None:
            self.error = error
        self._window.clear()

    def _write(self, offset: int, parts: Parts, length: int) -> None:
        if not length:
            return
        reception = self.reception
        position = reception.offset
        if offset != position and not self._append:
            self._window.hold(position, offset, parts, length)
            self._note(length)
            return
        for part in parts:
            reception.offer(part)
        self._note(length)
        self._follow(position + length)

    def _follow(self, position: int) -> None:
        """What waits at `position` has its turn."""
        while self._window and (more := self._window.follow(position)) is not None:
            for part in more[0]:
                self.reception.offer(part)
            position += more[1]

    def _note(self, length: int) -> None:
        self._count += 1
        self._total += length
        self._largest = max(self._largest, length)

    def check_whole(self) -> None:
        """Raises what went wrong, or NotSequential where a write still waits for bytes before it."""
        self._check()
        if self.has_hole:
            self.fail(NotSequential("The file was left with a hole."))
            self._check()

    def quarantine(self, ordinary_s: float, suspicious_s: float, *, sets_time: bool = False) -> float | None:
        """Seconds to settle after CLOSE; None: until it is renamed.

        An OpenSSH `put` that is interrupted drains what it has under way and sends a normal CLOSE; so do curl at its time limit,
        a `cp` over sshfs that is killed, and programs whose libraries close what is open. What they leave is a whole number of
        full-sized writes, or of buffers: then nobody can tell yet whether the file is complete. Where there was one write only,
        its size is compared with what OpenSSH is known to use, or every file of one write would have to wait.

        `sets_time`: the client sets the time of each file that it has sent whole, and lftp does; one that has none was cut.
        """
        if is_temporary_name(self.path):
            return None
        if self._count == 1:
            suspicious = self._total in USUAL_SIZES
        elif self._largest == LIBSSH2_WRITE:
            suspicious = self._total % LIBSSH2_WRITE == 0 or self._total % LIBSSH2_BUFFER == 0
        else:
            suspicious = self._largest >= FULL_SIZED and self._total % self._largest == 0
        return suspicious_s if suspicious or (sets_time and self.modified_at is None) else ordinary_s

    async def let_go(self) -> None:
        """Ends the writing without settling. What was received in order is kept. Repeatable, never raises."""
        self._window.clear()
        await self.reception.release()

    def go_on_in(self, reception: Reception) -> None:
        """From now on the file is what `reception` takes; the one before was let go of."""
        self.reception = reception


async def fill(reception: Reception, content: ReadHandle, size: int) -> None:
    """Offers the first `size` bytes of the content, and closes it. Raises EftError."""
    try:
        for start in range(0, size, TRANSFER_BYTES):
            reception.offer(await content.read(start, min(start + TRANSFER_BYTES, size)))
            if reception.full:
                await reception.ready()
    finally:
        content.close()


class Served:
    """What a client was given of one file: `size` bytes in all, everything before `until`. `asked`: it read at all, be it past
    the end of an empty file."""

    __slots__ = ("_ahead", "asked", "size", "until")

    def __init__(self) -> None:
        self.asked = False
        self.size = 0
        self.until = 0
        self._ahead: dict[int, int] = {}

    def add(self, start: int, stop: int) -> None:
        """The bytes `[start, stop)` were given out. Of what comes before its turn, at most 1,024 pieces are remembered; a client
        that leaves more gaps than that is taken for one that did not read everything."""
        self.asked = True
        self.size += stop - start
        if start <= self.until:
            self.until = max(self.until, stop)
            while self._ahead and (first := min(self._ahead)) <= self.until:
                self.until = max(self.until, self._ahead.pop(first))
        elif len(self._ahead) < PIECES_AHEAD:
            self._ahead[start] = max(stop, self._ahead.get(start, 0))


class ReadableFile:
    """A finished file. `expected` is where the next READ starts if the client reads on."""

    __slots__ = ("expected", "facts", "reader", "served")

    def __init__(self, reader: ReadHandle, facts: Facts) -> None:
        self.reader = reader
        self.facts = facts
        self.expected = 0
        self.served = Served()


class OpenDirectory:
    """What a directory held when it was opened, given out in pages."""

    __slots__ = ("_entries", "_position")

    def __init__(self, entries: list[tuple[str, Facts]]) -> None:
        self._entries = entries
        self._position = 0

    def page(self, count: int) -> list[tuple[str, Facts]]:
        """The next entries, at most `count`; none at the end."""
        start = self._position
        self._position += count
        return self._entries[start : start + count]


Handle = WritableFile | ReadableFile | OpenDirectory


class HandleTable:
    """The handles of a session, by the name that the client has for them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[bytes, Handle] = {}
        self._last = 0

    def reserve(self) -> None:
        """Raises Busy where the session has as many as it may have."""
        if len(self._open) >= self._limit:
            raise Busy(1, f"More than {self._limit} files are open on this connection; close some.")

    def add(self, handle: Handle) -> bytes:
        """Its new name. No name is used twice in a session."""
        self._last += 1
        name = self._last.to_bytes(4, "big")
        self._open[name] = handle
        return name

    def find(self, name: bytes) -> Handle | None:
        return self._open.get(name)

    def get(self, name: bytes) -> Handle:
        """Raises Invalid where there is none."""
        handle = self._open.get(name)
        if handle is None:
            raise Invalid("There is no such handle.", "Open the file again.")
        return handle

    def pop(self, name: bytes) -> Handle:
        """The same, and it is not open any more."""
        handle = self.get(name)
        del self._open[name]
        return handle

    def writable(self) -> Iterator[WritableFile]:
        """Every file that is being written."""
        return (handle for handle in list(self._open.values()) if isinstance(handle, WritableFile))

    def writing(self, path: str) -> WritableFile | None:
        """The file of that name that is being written."""
        return next((file for file in self.writable() if file.is_alive and file.path == path), None)

    def take_all(self) -> list[Handle]:
        """Every handle; none is open afterwards."""
        handles = list(self._open.values())
        self._open.clear()
        return handles
