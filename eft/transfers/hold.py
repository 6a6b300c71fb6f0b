"""One worker's hold on one upload: what is in memory, the open segment, the running digest, the writer epoch.

A hold outlives requests: the next PATCH on the same worker goes on where the last one stopped, without a new segment. All that
touches the segment runs in one lane, in order:

    offered → (batches of 1 MiB: digest, seal, write, in a thread) → stored → (fdatasync, then the fence) → durable

The fence is one read of the database after the bytes are on stable storage: if the epoch is still ours and the case is open,
the bytes are ours to acknowledge. A taker raises the epoch before it looks at the segment. So either the taker sees the bytes,
or we see the taker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from eft.domain.case import Case
from eft.domain.digests import PartCheck, RunningDigest
from eft.domain.errors import ChecksumMismatch, EftError, LengthExceeded, StorageFailed, WriterDisplaced
from eft.domain.upload import SegmentFacts, Upload
from eft.storage.ports import SegmentId
from eft.transfers.hold_rows import MakesWay, add_segment, check_fence, record_end, store
from eft.transfers.intent import BATCH, FULL, Allowance, Intent, first_batch
from eft.transfers.open_segment import OpenSegment, log_failure
from eft.transfers.resources import Resources


class Hold:
    """See the module. `offset` is what was offered, `durable` what may be acknowledged; both in bytes of plaintext."""

    def __init__(
        self,
        resources: Resources,
        upload: Upload,
        case: Case,
        intent: Intent,
        digest: RunningDigest | None,
        *,
        inherited: bytes = b"",
        origin: str | None = None,
        at: int | None = None,
    ) -> None:
        """`inherited`: what the file begins with and a row has already, so that it need not be stored unless more comes.
        `origin`: the attachment whose segments the upload begins with. `at`: where the next byte goes, if not at the end."""
        self._r = resources
        self.upload = upload
        self.case = case
        self.intent = intent
        self._beneath = 0 if at is None else upload.offset
        self.durable = upload.offset if at is None else at
        self.offset = self.durable + len(inherited)
        self._inherited = inherited
        self.origin = origin
        self._began_at = self.offset
        self.durable_at: datetime = resources.clock.now()
        self.digest = digest
        self._durable_digest = digest.copy() if digest is not None else None
        self.segment: SegmentFacts | None = None
        self._writer: OpenSegment | None = None
        self._pending: list[bytes | memoryview] = [inherited] if inherited else []
        self._pending_bytes = len(inherited)
        self._moving = 0
        self._committed_at = resources.clock.monotonic()
        self._check: PartCheck | None = None
        self._lane = asyncio.Lock()
        self._drainer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.failure: EftError | None = None
        self.allowance: Allowance | None = None
        self.makes_way: MakesWay | None = None
        """Where nobody has looked whether the name is free: what is done if it is not."""

    @property
    def is_stored(self) -> bool:
        """Whether the database knows of the upload."""
        return self.upload.epoch > 0

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was added to what the file had before."""
        return self.offset == self._began_at

    @property
    def size(self) -> int:
        """Bytes of the file, offered ones included. More than `offset` where earlier bytes are written anew."""
        return max(self.offset, self._beneath)

    @property
    def safe(self) -> int:
        """Bytes of the file that may be acknowledged: what is durable here or beneath, or in the row that it inherits from."""
        return max(self.durable, len(self._inherited), self._beneath)

    @property
    def full(self) -> bool:
        return self._pending_bytes >= FULL

    @property
    def is_in_memory(self) -> bool:
        """Whether not a byte of it is in a segment yet."""
        return self._writer is None and self.durable == 0 and not self._moving and not self._beneath

    def segments_so_far(self) -> tuple[SegmentFacts, ...]:
        """All segments up to the durable offset."""
        mine = self.upload.segments
        return mine if self.segment is None else (*mine, replace(self.segment, end=self.durable))

    @property
    def has_checksum(self) -> bool:
        """Whether a part with a checksum is under way."""
        return self._check is not None

    def expect(self, check: PartCheck | None) -> None:
        """A part begins. With a check nothing is committed before it was seen to hold."""
        self._check = check

    def offer(self, data: bytes | memoryview) -> None:
        """Takes `data`, at once and without waiting. Raises what went wrong earlier, and LengthExceeded."""
        if self.failure is not None:
            raise self.failure
        if self.upload.length is not None and self.offset + len(data) > self.upload.length:
            raise LengthExceeded(self.upload.length)
        if self.allowance is not None:
            self.allowance.check(self.offset + len(data))
        self._pending.append(data)
        self._pending_bytes += len(data)
        self.offset += len(data)
        if self._pending_bytes >= (FULL if self.offset == self.upload.length else BATCH):
            # Of a file that is all there, its end is written with the rest, when that is asked for.
            if self._drainer is None:
                self._drainer = asyncio.get_running_loop().create_task(self._drain())
            if self._pending_bytes >= FULL:
                self._room.clear()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._r.settings.commit_s, self._on_timer)

    def patch(self, offset: int, data: bytes | memoryview) -> bool:
        """Writes over bytes that are in memory only; whether that is where they are."""
        if not self.is_in_memory or self._inherited or self.failure is not None or self._drainer is not None:
            return False
        content = bytearray().join(self._pending)
        content[offset : offset + len(data)] = data
        self._pending = [bytes(content)]
        self._pending_bytes = self.offset = len(content)
        return True

    async def ready(self) -> None:
        """Returns when there is room again. Raises what went wrong."""
        await self._room.wait()
        if self.failure is not None:
            raise self.failure

    async def commit(self, still: Callable[[], None] | None = None) -> int:
        """Everything offered is durable, and still ours. Returns the durable offset. `still` is called when the turn has come,
        and raises where it is not wanted any more: then nothing was done.

        Raises ChecksumMismatch, and then the part is gone and the offset where it was; WriterDisplaced, CaseClosed,
        UploadExpired, StorageFull, StorageFailed.
        """
        async with self.alone(still):
            await self._commit(fenced=True)
        return self.safe

    async def commit_unfenced(self) -> None:
        """The same while `alone`, for who looks at the epoch in a transaction of his own before he lets others in."""
        await self._commit(fenced=False)

    async def rollback(self) -> int:
        """Everything past the durable offset is forgotten. Returns the durable offset."""
        async with self._lane:
            await self._roll_back()
        return self.safe

    @asynccontextmanager
    async def alone(self, still: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """Nothing moves meanwhile: no batch, no commit on time, no rollback, no closing. `still`: as for `commit`."""
        async with self._lane:
            if still is not None:
                still()
            yield

    def content_in_memory(self) -> bytes:
        """All bytes of a file that is in memory only, for sealing it into its row, while `alone`. The part is verified first.

        Raises ChecksumMismatch; then the part is gone.
        """
        content = b"".join(self._pending)
        check, self._check = self._check, None
        if check is not None:
            check.update(content[len(self._inherited) :])
            if not check.holds():
                self._forget_pending()
                raise ChecksumMismatch
        return content

    async def close(self) -> None:
        """Lets the segment go: its end goes into the database, the file is closed. What was not durable is forgotten."""
        self._stop_timer()
        self.failure = self.failure or WriterDisplaced()
        self._room.set()
        if self._drainer is not None:
            await asyncio.wait({self._drainer})
        async with self._lane:
            writer, self._writer = self._writer, None
            has_ended = self.segment is None and (not self.is_stored or self.upload.holder is None)
            if writer is not None and has_ended:
                writer.close()  # nothing is left to write: not worth a thread
            elif writer is not None:
                await self._r.run(writer.close)
            if not has_ended:
                await self._record_end()
            self.mark_ended(is_stored=False)

    def mark_ended(self, *, is_stored: bool = True) -> None:
        """Another transaction, by which the database knows of it, has recorded this segment's end: nothing is stored any more."""
        self._stop_timer()
        self._pending, self._pending_bytes = [], 0
        self.segment = None
        self.durable = self.offset if is_stored else self.durable
        epoch = max(self.upload.epoch, int(is_stored))
        if (self.upload.epoch, self.upload.holder) != (epoch, None):
            self.upload = replace(self.upload, epoch=epoch, holder=None)

    async def store_row(self) -> None:
        """The database knows of the upload, be it without a byte of it, unless it has ended. Raises CaseClosed, CasePurging."""
        async with self._lane:
            if not self.is_stored and self.failure is None:
                await self._r.run((await self._open_segment()).make)

    # In the lane.

    async def _commit(self, *, fenced: bool) -> None:
        if self.failure is not None:
            raise self.failure
        with self._failing():
            if self._check is None:
                await self._flush_and_make_durable(fenced=fenced)
                return
            while self._pending:
                await self._store_batch()
            await self._verify_part()
            await self._make_durable(fenced=fenced)

    async def _drain(self) -> None:
        try:
            with suppress(EftError), self._failing():
                async with self._lane:
                    while self._pending_bytes >= BATCH and self.failure is None:
                        await self._store_batch()
                        if self._check is None and self._commit_is_due():
                            await self._make_durable()
        finally:
            self._drainer = None
            if self._pending and self.failure is None and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._r.settings.commit_s, self._on_timer)

    def _commit_is_due(self) -> bool:
        assert self._writer is not None
        return (
            self._writer.position - self.durable >= self._r.settings.commit_bytes
            or self._r.clock.monotonic() - self._committed_at >= self._r.settings.commit_s
        )

    def _on_timer(self) -> None:
        self._timer = None
        if self._drainer is None and self.failure is None and self._check is None and self.offset > self.durable:
            self._drainer = asyncio.get_running_loop().create_task(self._commit_on_time())

    async def _commit_on_time(self) -> None:
        try:
            with suppress(EftError), self._failing():
                async with self._lane:
                    if self._check is None and self.failure is None:
                        await self._flush_and_make_durable()
        finally:
            self._drainer = None
            if self._pending_bytes >= BATCH and self.failure is None:
                self._drainer = asyncio.get_running_loop().create_task(self._drain())

    async def _flush_and_make_durable(self, *, fenced: bool = True) -> None:
        """The last batch and the commit in one go: a thread is asked once."""
        if self._pending and self._writer is None:
            await self._open_segment()
        while self._pending_bytes > 2 * BATCH:
            await self._store_batch()
        parts = await self._next_batch() if self._pending else []
        try:
            await self._make_durable(parts, fenced=fenced)
        finally:
            self._moving = 0

    async def _store_batch(self) -> None:
        parts = await self._next_batch()
        assert self._writer is not None
        try:
            await self._r.run(self._writer.store, parts, self.digest, self._check, self._inherited)
        finally:
            self._moving = 0

    async def _next_batch(self) -> list[bytes | memoryview]:
        """What is stored next, which counts as moving from now on; there is a segment for it."""
        if self.failure is not None:
            raise self.failure
        if self._writer is None:
            await self._open_segment()
        parts, self._pending = first_batch(self._pending, self._pending_bytes)
        taken = sum(map(len, parts))
        self._pending_bytes -= taken
        self._moving = taken
        if self._pending_bytes < FULL:
            self._room.set()
        return parts

    async def _verify_part(self) -> None:
        check, self._check = self._check, None
        if check is not None and not check.holds():
            await self._roll_back()
            raise ChecksumMismatch

    async def _roll_back(self) -> None:
        self._check = None
        if self._writer is not None:
            await self._r.run(self._writer.rollback)
        self.digest = self._durable_digest.copy() if self._durable_digest is not None else None
        self._forget_pending()
        self._room.set()

    def _forget_pending(self) -> None:
        self._stop_timer()
        self._pending = [self._inherited] if self._inherited and not self.durable else []
        self._pending_bytes = sum(map(len, self._pending))
        self.offset = max(self.durable, len(self._inherited))

    async def _make_durable(self, parts: list[bytes | memoryview] | None = None, *, fenced: bool = True) -> None:
        if self._writer is not None and (parts or self._writer.position > self.durable):
            began = self._r.clock.monotonic()
            try:
                reached = await self._r.run(self._writer.commit, parts or [], self.digest)
            except StorageFailed:
                # After a failed fsync the segment's later commits must never count, whatever the page cache says.
                await self._record_end()
                self.upload = replace(self.upload, segments=self.segments_so_far())
                self.segment = None
                raise
            self._r.observer.committed(self._r.clock.monotonic() - began)
            if fenced:
                await check_fence(self._r, self.upload)
            self._r.observer.received(self.upload.source, reached - self.durable)
            self.durable = reached
            self._durable_digest = self.digest.copy() if self.digest is not None else None
            self.durable_at = self._r.clock.now()
            self._stop_timer()
        elif self.is_stored and fenced:
            await check_fence(self._r, self.upload)
        self._committed_at = self._r.clock.monotonic()

    async def _open_segment(self) -> OpenSegment:
        """A new segment from the durable offset on: first its row, then its file, so that no file is without a row."""

        self.case, stored, facts, key = await store(self._r, self, partial(add_segment, resources=self._r, hold=self))
        # What else was told of the upload meanwhile stands.
        self.upload = replace(self.upload, state=stored.state, epoch=stored.epoch, holder=stored.holder)
        segment_id = SegmentId(self.case.uid, facts.file_upload_id, facts.file_epoch)
        self._writer = OpenSegment(partial(self._r.segments.create, segment_id, key, facts.start), facts.start, self._r.hashers)
        self.segment = facts
        return self._writer

    async def _record_end(self) -> None:
        await self._r.database.write(
            lambda conn: record_end(conn, self._r, self.upload, self.segment, self.durable, self.durable_at)
        )

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What goes wrong ends the hold. Also a bug: nobody goes on with what it left, and who waits for room hears of it."""
        try:
            yield
        except EftError as error:
            self._fail(error)
            raise
        except Exception:
            self._fail(StorageFailed())
            raise

    def _fail(self, error: EftError) -> None:
        if not isinstance(error, ChecksumMismatch):
            self.failure = error
        log_failure(error, self.upload.id, self.durable)
        self._room.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
