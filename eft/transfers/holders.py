"""All holds of this worker, and how an upload passes from one writer to the next."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
import logging

from eft.db import cases, uploads
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.case import Case
from eft.domain.digests import RunningDigest
from eft.domain.errors import (
    AlreadyFinished,
    CaseClosed,
    DigestMismatch,
    EftError,
    NotFound,
    NotSequential,
    OffsetMismatch,
    Purged,
    ReadOnly,
    UploadExpired,
    UploadTerminated,
    WriterDisplaced,
)
from eft.domain.upload import Upload, UploadState
from eft.transfers.content import content_of_row
from eft.transfers.hold import Hold
from eft.transfers.hold_rows import MakesWay
from eft.transfers.intent import Intent
from eft.transfers.publication import Publication
from eft.transfers.reception import Reception
from eft.transfers.resources import Resources, check_takes_data, lock_open_case
from eft.transfers.segment_ends import settle_segments

SEGMENTS = 256
"""Segments of one upload, from which on earlier bytes are not written anew."""

log = logging.getLogger(__name__)


class Holders:
    """Gives out receptions: at most one at a time for an upload, whichever worker it is on."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources
        self.publication = Publication(resources)
        self._holds: dict[str, Hold] = {}
        self._current: dict[str, Reception] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._taking: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def expiry_after(self, instant: datetime) -> datetime:
        return instant + self._r.settings.expire_after

    def begin(
        self,
        upload: Upload,
        case: Case,
        intent: Intent,
        digest: RunningDigest | None,
        *,
        inherited: bytes = b"",
        origin: str | None = None,
        makes_way: MakesWay | None = None,
    ) -> Reception:
        """A reception of an upload that nobody else knows of yet. It may begin as the attachment `origin`: with its segments,
        `[0, upload.offset)`, or with its small content. `makes_way`: where nobody has looked whether its name is free."""
        hold = Hold(self._r, upload, case, intent, digest, inherited=inherited, origin=origin)
        hold.makes_way = makes_way
        return self._receive(hold)

    def pending(self, case_id: str) -> list[Hold]:
        """Holds of a case that the database does not know of yet."""
        return [hold for hold in self._holds.values() if hold.upload.case_id == case_id and not hold.is_stored]

    def of_case(self, case_id: str) -> list[Hold]:
        """All holds of a case in this worker."""
        return [hold for hold in self._holds.values() if hold.upload.case_id == case_id]

    def hold_of(self, upload_id: str) -> Hold | None:
        return self._holds.get(upload_id)

    def is_busy_with(self, upload_id: str) -> bool:
        """Whether this worker has the upload, or is about to have it or to let it go."""
        lock = self._taking.get(upload_id)
        return upload_id in self._holds or (lock is not None and lock.locked())

    def is_current(self, hold: Hold, reception: Reception) -> bool:
        return self._current.get(hold.upload.id) is reception and not reception.displaced.is_set()

    async def take(self, upload_id: str, case_id: str, intent: Intent | None = None, *, at: int | None = None) -> Reception:
        """The right to write from now on, taken from whoever had it. Its offset is durable. `at`: where it would be written;
        who writes elsewhere just now, without a checksum, is left alone, since all that came of it stays: so of two who begin at
        one offset one wins.

        Raises OffsetMismatch, NotFound, CaseClosed, CasePurging, AlreadyFinished, DigestMismatch, UploadExpired,
        UploadTerminated, Purged.
        """
        async with self._taking_lock(upload_id):
            hold = await self._own(upload_id, case_id, at)
            if hold is None:
                hold = await self._take_over(upload_id, case_id, intent, at=at)
            return self._receive(hold)

    async def take_from_dead(self, upload_id: str, case_id: str, writer: str | None) -> Reception | None:
        """The same, unless somebody has taken it since it was seen to be held by `writer`, who is dead: then None."""
        async with self._taking_lock(upload_id):
            if upload_id in self._holds:  # a begun one has no lock
                return None
            with suppress(WriterDisplaced):
                return self._receive(await self._take_over(upload_id, case_id, None, dead=(writer,)))
        return None

    async def seek(self, hold: Hold, position: int) -> Hold:
        """Another hold of the same upload, whose next byte goes to `position` of what the file has. The later segment counts
        where two have the same byte. Raises NotSequential where there are too many, and what a commit raises."""
        if len(hold.upload.segments) + 2 > SEGMENTS:
            raise NotSequential("The file was written in too many places.")
        reception = self._current.get(hold.upload.id)
        await hold.commit()
        size, segments = hold.size, hold.segments_so_far()
        if hold.segment is None:  # nothing to end: the row goes on naming this worker
            hold.mark_ended(is_stored=False)
        await hold.close()
        if reception is None or self._current.get(hold.upload.id) is not reception:
            raise WriterDisplaced
        beneath = replace(hold.upload, segments=segments, offset=size, holder=self._r.bus.worker)
        moved = Hold(self._r, beneath, hold.case, hold.intent, None, origin=hold.origin, at=position)
        self._holds[hold.upload.id] = moved
        return moved

    async def kept(self, hold: Hold, end: int) -> bool:
        """Whether the bytes up to `end` are durable when nobody is taking the upload over any more."""
        async with self._taking_lock(hold.upload.id):
            return hold.safe >= end

    async def rest(self, hold: Hold) -> None:
        """Nobody adds to the upload for now: what came is committed, the hold lingers for the next request. One that added
        nothing to a finished or closed file was never there."""
        self._current.pop(hold.upload.id, None)
        if hold.is_untouched and (not hold.is_stored or hold.upload.state is UploadState.SETTLING):
            await self.drop(hold)
            return
        if hold.failure is None:
            if hold.has_checksum:
                await hold.rollback()
            elif hold.offset > hold.durable:
                await hold.commit()
        if hold.failure is not None or not hold.is_stored:
            await self.drop(hold)
        else:
            loop = asyncio.get_running_loop()
            self._timers[hold.upload.id] = loop.call_later(self._r.settings.linger_s, self._linger_is_over, hold)

    async def drop(self, hold: Hold) -> None:
        """Ends the hold. Its durable bytes stay."""
        upload_id = hold.upload.id
        if self._holds.get(upload_id) is hold:
            del self._holds[upload_id]
            current = self._current.pop(upload_id, None)
            if current is not None:
                current.displaced.set()
        self._stop_timer(upload_id)
        with suppress(EftError):
            await hold.close()

    async def let_go(self, upload_id: str, at: int | None = None) -> int | None:
        """Another worker wants the upload: what came is committed, the writer told, the segment closed. The durable offset where
        the writer goes on instead: see `take`."""
        async with self._taking_lock(upload_id):
            hold = self._holds.get(upload_id)
            if hold is None:
                return None
            goes_on = await self._goes_on(hold, at)
            if goes_on is None:
                self._displace(upload_id)
                with suppress(EftError):
                    await self.rest(hold)
                await self.drop(hold)
            return goes_on

    async def close(self) -> None:
        """Commits and ends every hold: the worker stops."""
        for upload_id in list(self._holds):
            await self.let_go(upload_id)
        for task in list(self._tasks):
            await task

    # Within this worker.

    async def _goes_on(self, hold: Hold, at: int | None) -> int | None:
        """The durable offset of a writer at work whom nobody displaces who comes with bytes for `at`."""
        if at is None or hold.upload.id not in self._current or hold.has_checksum or hold.offset == at:
            return None
        with suppress(EftError):
            durable = await hold.commit()
            return durable if durable != at else None
        return None

    async def _own(self, upload_id: str, case_id: str, at: int | None) -> Hold | None:
        """This worker's own hold, if it is still good; its present reception is displaced. Raises OffsetMismatch."""
        hold = self._holds.get(upload_id)
        if hold is None:
            return None
        if hold.upload.case_id != case_id:
            raise NotFound
        if (goes_on := await self._goes_on(hold, at)) is not None:
            raise OffsetMismatch(goes_on)
        self._displace(upload_id)
        with suppress(EftError):
            await self.rest(hold)
            self._stop_timer(upload_id)
            if hold.failure is None and hold.is_stored:
                await hold.commit()
                return hold
        await self.drop(hold)
        return None

    def _receive(self, hold: Hold) -> Reception:
        reception = Reception(self, hold)
        self._holds[hold.upload.id] = hold
        self._current[hold.upload.id] = reception
        return reception

    def _displace(self, upload_id: str) -> None:
        current = self._current.pop(upload_id, None)
        if current is not None:
            current.displaced.set()
            log.info("upload.displaced", extra={"upload_id": upload_id})

    def _linger_is_over(self, hold: Hold) -> None:
        task = asyncio.get_running_loop().create_task(self._drop_if_idle(hold))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drop_if_idle(self, hold: Hold) -> None:
        async with self._taking_lock(hold.upload.id):
            if hold.upload.id not in self._current:
                await self.drop(hold)

    def _stop_timer(self, upload_id: str) -> None:
        timer = self._timers.pop(upload_id, None)
        if timer is not None:
            timer.cancel()

    def _taking_lock(self, upload_id: str) -> asyncio.Lock:
        if len(self._taking) > 10_000:
            self._taking = {key: lock for key, lock in self._taking.items() if lock.locked()}
        return self._taking.setdefault(upload_id, asyncio.Lock())

    # Between workers.

    async def _take_over(
        self,
        upload_id: str,
        case_id: str,
        intent: Intent | None,
        *,
        dead: tuple[str | None] | None = None,
        at: int | None = None,
    ) -> Hold:
        """`dead`: the writer that it is taken from, where it must be nobody else. Raises WriterDisplaced if it is, and
        OffsetMismatch where the writer goes on that has it."""
        claimed: Upload | None = None
        while claimed is None:
            found, case = await self.find(upload_id, case_id)
            self.check_may_receive(found, case)
            if dead is not None and found.holder != dead[0]:
                raise WriterDisplaced
            if found.holder is not None and found.holder != self._r.bus.worker:
                goes_on = await self._r.bus.ask_to_let_go(found.holder, upload_id, self._r.settings.release_s, at)
                if goes_on is not None:
                    raise OffsetMismatch(goes_on)
            stored = await self._r.run(self._r.segments.epochs, case.uid, upload_id)
            claim = partial(self._claim, found=found, epochs=stored, dead=dead)
            claimed, case = await self._r.database.write(claim)
        settled, digest = await settle_segments(self._r, claimed, case)
        content = await self._inline_content(settled)
        if content is not None:
            digest = RunningDigest()
        elif settled.inline is not None:
            settled = replace(settled, inline=None)
        final = settled
        if settled.segments != claimed.segments or settled.inline != claimed.inline:
            await self._r.database.write(lambda conn: self._record_takeover(conn, final))
        by = intent or Intent(name=final.name, source=final.source, actor=Actor(final.actor), modified_at=final.modified_at)
        facts = {"upload_id": upload_id, "case_id": case_id, "offset": final.offset, "epoch": final.epoch}
        log.info("upload.resumed", extra=facts)
        return Hold(self._r, final, case, by, digest, inherited=content or b"")

    def _claim(
        self, conn: Connection, *, found: Upload, epochs: list[int], dead: tuple[str | None] | None
    ) -> tuple[Upload | None, Case]:
        """Raises the epoch in the name of this worker. None where yet another writer took the upload after it was `found`: that
        one has not been asked."""
        case = lock_open_case(conn, found.case_id)
        row = uploads.lock(conn, found.id)
        if row is None:
            raise NotFound
        self.check_may_receive(row, case)
        if dead is not None and row.holder != dead[0]:
            raise WriterDisplaced
        if row.holder not in (None, found.holder, self._r.bus.worker):
            return None, case
        claimed = replace(
            row,
            epoch=max(row.epoch, *epochs, 0) + 1,
            holder=self._r.bus.worker,
            expires_at=max(row.expires_at, self.expiry_after(self._r.clock.now())),
        )
        uploads.save(conn, claimed)
        return claimed, case

    async def _inline_content(self, upload: Upload) -> bytes | None:
        """The bytes that are still only in the row: those of a small file that settled, where no segment has them yet."""
        whole = await content_of_row(self._r, upload)
        return whole if whole is not None and (upload.offset < len(whole) or not whole) else None

    def _record_takeover(self, conn: Connection, upload: Upload) -> None:
        row = uploads.lock(conn, upload.id)
        if row is None or row.epoch != upload.epoch:
            raise WriterDisplaced
        for facts in upload.segments:
            if facts.end is not None:
                uploads.end_segment(conn, upload.id, facts.epoch, facts.end)
        uploads.save(conn, replace(row, offset=max(row.offset, upload.offset), inline=upload.inline))

    async def find(self, upload_id: str, case_id: str) -> tuple[Upload, Case]:
        """The upload and its case. Raises NotFound, also for another case's upload."""

        def work(conn: Connection) -> tuple[Upload | None, Case | None]:
            return uploads.get(conn, upload_id), cases.get(conn, case_id)

        upload, case = await self._r.database.read(work)
        if upload is None or case is None or upload.case_id != case_id:
            raise NotFound
        return upload, case

    def check_may_receive(self, upload: Upload, case: Case) -> None:
        """Raises where the upload takes no byte in its state."""
        check_ended(upload, case)
        if upload.parts:
            raise ReadOnly("A final upload takes no bytes of its own.", "Add to its parts.")
        if upload.state is UploadState.PUBLISHED or upload.state is UploadState.SEALED:
            raise AlreadyFinished
        check_takes_data(case)
        if upload.state is UploadState.FROZEN:
            raise CaseClosed
        if upload.state is UploadState.REFUSED:
            raise DigestMismatch(upload.declared_sha256 or "", upload.sha256 or "")
        if upload.expires_at <= self._r.clock.now() and upload.state is UploadState.RECEIVING:
            raise UploadExpired


def check_ended(upload: Upload, case: Case) -> None:
    """Raises what became of an upload that is over without being published."""
    if upload.state is UploadState.EXPIRED:
        if upload.ended == "purged":
            raise Purged(case.purged_at)
        raise UploadTerminated if upload.ended in ("terminated", "overwritten") else UploadExpired
