"""What an SFTP client does to its case's directory: makes, renames and removes, opens for reading and for writing.

Nothing that is finished is destroyed here: what a client overwrites or removes stays with the case until its purge. What it
sees is in directory_view.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
import functools

from eft.db import attachments, directories, uploads
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.errors import AlreadyExists, AlreadyFinished, Conflict, EftError, Invalid, NotEmpty, NotFound, ReadOnly
from eft.domain.names import check_name
from eft.domain.upload import Source, Upload, UploadState
from eft.transfers.content import Content
from eft.transfers.directory_view import FROM_SUPPORT, Entry, View, names_below, shown_attachment, shown_upload
from eft.transfers.hold import Hold
from eft.transfers.intent import Intent
from eft.transfers.receipts_view import Receipts, ReceiptsView, is_receipt
from eft.transfers.reception import Reception
from eft.transfers.refusals_view import REFUSED, content_of, not_to_be_changed
from eft.transfers.resources import Resources, lock_open_case
from eft.transfers.service import Transfers
from eft.transfers.settled import Settled
from eft.transfers.shown_path import PART, is_temporary_name, shown_path


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the disk that the case lies on."""

    total: int
    free: int


def _name_behind(upload: Upload, path: str) -> str:
    """The name of an unfinished upload that is to be shown at `path`. Raises Conflict where that would look like a whole file."""
    if shown_path(upload) == upload.name:
        return path
    if not path.endswith(PART):
        raise Conflict(
            "This upload was begun over HTTPS and is not finished.",
            f"Send the rest of it under its name with {PART}; it then takes its name by itself.",
        )
    return path.removesuffix(PART)


class Directory:
    """The directory of every case; all methods take the case's id first. `settle_s`: seconds of rest after a rename; `space`
    tells the disk's state."""

    def __init__(
        self,
        resources: Resources,
        transfers: Transfers,
        receipts: Receipts,
        *,
        settle_s: float,
        space: Callable[[], Space],
    ) -> None:
        self._r = resources
        self._space = space
        self._transfers = transfers
        self._settle_s = settle_s
        self._settled = Settled(resources, transfers.holders.publication)
        self._receipts = ReceiptsView(resources, receipts)
        self._view = View(resources, transfers, self._receipts)

    async def stat(self, case_id: str, path: str) -> Entry:
        """Raises NotFound."""
        return await self._view.stat(case_id, path)

    async def list(self, case_id: str, path: str) -> Sequence[Entry]:
        """What is directly in a directory, sorted by name. Raises NotFound."""
        return await self._view.list(case_id, path)

    async def make(self, case_id: str, path: str, actor: Actor) -> None:
        """A new directory. Raises AlreadyExists, NotFound (no parent), ReadOnly, NameNotAllowed, CaseClosed."""
        if path == "":
            raise AlreadyExists
        self._check_writable(path)
        check_name(path)
        await self._check_parent(case_id, path)
        if await self._exists(case_id, path):
            raise AlreadyExists
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            lock_open_case(conn, case_id)
            directories.make(conn, case_id, path, now, actor.name)
            self._r.record(conn, actor, "directory.make", case_id, "", at=now)

        await self._r.database.write(work)
        self._view.free.forget(case_id)

    async def space(self) -> Space:
        return await self._r.run(self._space)

    async def remove_directory(self, case_id: str, path: str, actor: Actor) -> None:
        """Raises NotFound, NotEmpty, ReadOnly, CaseClosed."""
        self._check_writable(path)
        if not (await self.stat(case_id, path)).is_directory:
            raise NotFound
        if await self.list(case_id, path):
            raise NotEmpty
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            lock_open_case(conn, case_id)
            directories.remove(conn, case_id, path)
            self._r.record(conn, actor, "directory.remove", case_id, "", at=now)

        await self._r.database.write(work)
        self._view.free.forget(case_id)

    async def remove(self, case_id: str, path: str, actor: Actor) -> None:
        """Takes a file out of the directory. An unfinished upload ends; a file that its client had closed stays with the case,
        for staff, until its purge. Raises NotFound, Invalid (a directory), ReadOnly, CaseClosed."""
        self._check_writable(path)
        entry = await self.stat(case_id, path)
        if entry.is_directory:
            raise Invalid("This is a directory.", "Remove it as one, once it is empty.")
        if entry.upload_id is not None:
            await self._end(case_id, entry.upload_id, actor, "terminated")
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            lock_open_case(conn, case_id)
            # Also the version that the upload was about to replace: the name is gone.
            attachment = shown_attachment(conn, case_id, path, False)
            if attachment is not None:
                attachments.hide(conn, attachment.id)
                self._r.record(conn, actor, "attachment.hide", case_id, attachment.id, at=now)

        await self._r.database.write(work)

    async def rename(self, case_id: str, old: str, new: str, actor: Actor, *, replace: bool) -> None:
        """Gives a file or a directory another path. A file that waited for its rename begins to settle.

        Raises NotFound, AlreadyExists, NotEmpty, ReadOnly, NameNotAllowed, CaseClosed.
        """
        self._check_writable(old)
        self._check_writable(new)
        check_name(new)
        entry = await self.stat(case_id, old)
        if entry.refused is not None:
            raise not_to_be_changed()
        if old == new:
            return
        await self._check_parent(case_id, new)
        if new.startswith(old + "/"):
            raise AlreadyExists
        if await self._exists(case_id, new):
            target = await self.stat(case_id, new)
            if not replace or target.is_directory or entry.is_directory:
                raise AlreadyExists
            if target.upload_id is not None:
                await self._make_way(case_id, target.upload_id, path=new, actor=actor)
        now = self._r.clock.now()
        moved = await self._names_below(case_id, old) if entry.is_directory else [old]

        def work(conn: Connection) -> None:
            lock_open_case(conn, case_id)
            made = directories.of_case(conn, case_id) if entry.is_directory else {}
            below = [path for path in made if path == old or path.startswith(old + "/")]
            for name in (*moved, *below):
                check_name(new + name[len(old) :])
            for name in moved:
                self._rename_one(conn, case_id, name, new + name[len(old) :], now)
            for path in below:
                directories.remove(conn, case_id, path)
                directories.make(conn, case_id, new + path[len(old) :], made[path], actor.name)
            self._r.record(conn, actor, "file.rename", case_id, entry.upload_id or entry.attachment_id or "", at=now)

        for hold in self._transfers.holders.pending(case_id):
            if shown_path(hold.upload) in moved:
                await hold.store_row()
        await self._r.database.write(work)
        self._view.free.forget(case_id)
        for hold in self._transfers.holders.of_case(case_id):
            if shown_path(hold.upload) in moved:
                moved_to = new + shown_path(hold.upload)[len(old) :]
                hold.upload = dataclasses.replace(hold.upload, name=_name_behind(hold.upload, moved_to))

    async def touch(self, case_id: str, path: str, modified_at: datetime) -> None:
        """Keeps the file's own time of modification. Raises NotFound, ReadOnly."""
        self._check_writable(path)
        entry = await self.stat(case_id, path)
        if entry.refused is not None:
            raise not_to_be_changed()
        if entry.upload_id is not None:
            self.touch_upload(entry.upload_id, modified_at)

        def work(conn: Connection) -> None:
            if entry.attachment_id is not None:
                attachments.set_modified(conn, entry.attachment_id, modified_at)
            elif entry.upload_id is not None:
                row = uploads.lock(conn, entry.upload_id)
                if row is not None and row.state is UploadState.PUBLISHED:
                    attachments.set_modified(conn, row.id, modified_at)
                elif row is not None:
                    uploads.save(conn, dataclasses.replace(row, modified_at=modified_at))

        await self._r.database.write(work)

    def touch_upload(self, upload_id: str, modified_at: datetime) -> None:
        """The same for a file that this worker is receiving: told at once, kept when the file is closed."""
        hold = self._transfers.holders.hold_of(upload_id)
        if hold is not None:
            hold.upload = dataclasses.replace(hold.upload, modified_at=modified_at)

    async def open_read(self, case_id: str, path: str) -> Content:
        """Raises NotFound, Purged, KeyUnavailable."""
        entry = await self.stat(case_id, path)
        if entry.refused is not None:
            return content_of(self._r, entry.refused)
        if entry.attachment_id is not None:
            attachment = await self._transfers.attachment(entry.attachment_id, case_id=case_id)
            if is_receipt(path):
                return await self._receipts.content(case_id, path, attachment)
            return await self._transfers.content(attachment)
        if entry.upload_id is not None:
            return await self.open_received(case_id, entry.upload_id)
        raise NotFound

    async def open_received(self, case_id: str, upload_id: str) -> Content:
        """What was received of an upload so far. Raises NotFound, KeyUnavailable."""
        hold = self._transfers.holders.hold_of(upload_id)
        if hold is not None and hold.upload.case_id == case_id:
            if not hold.is_stored and hold.is_untouched:
                return await self._before(hold, case_id)
            if hold.offset > hold.safe:
                with contextlib.suppress(EftError):  # closed meanwhile, or what stays of it is what was durable
                    await hold.commit()
        upload = await self._transfers.upload(upload_id, case_id=case_id)
        if upload.state is UploadState.PUBLISHED:  # in the meantime; what was in its row is with the attachment now
            return await self._transfers.content(await self._transfers.attachment(upload_id, case_id=case_id))
        return await self._transfers.content(upload)

    def open_new(self, case_id: str, path: str, actor: Actor) -> Reception | None:
        """The same as `open_write` with `create` and `truncate`, at once, where the name was free a moment ago; None where that
        has to be looked at. Raises what it raises."""
        self._check_writable(path)
        if path.endswith((PART, REFUSED)):  # which may stand for something of another name
            return None
        case = self._view.free.take(case_id, path)
        if case is None:
            return None
        makes_way = functools.partial(self._make_way, case_id, path=path, actor=actor)
        return self._transfers.begin_at_once(case, Intent(name=path, source=Source.SFTP, actor=actor), makes_way)

    async def open_write(
        self, case_id: str, path: str, actor: Actor, *, create: bool, truncate: bool, exclusive: bool
    ) -> Reception:
        """A reception for the file. Without `truncate` an existing file goes on from its stored bytes, also after it was
        published: then it becomes a new version, by reference. With it, the file begins anew, and the old one is kept.

        Raises NotFound, AlreadyExists, ReadOnly, NameNotAllowed, CaseClosed, CasePurging.
        """
        self._check_writable(path)
        place = await self._view.place(case_id, path)
        entry = place.entry
        if entry is not None and entry.refused is not None:
            raise not_to_be_changed()
        if entry is not None and (exclusive or entry.is_directory):
            raise AlreadyExists
        intent = Intent(name=path, source=Source.SFTP, actor=actor)
        if entry is None or truncate:
            check_name(path)
        if entry is None:
            if not (create and place.has_parent):
                raise NotFound
            return await self._transfers.begin_in(place.case, intent)
        if truncate:
            if entry.upload_id is not None:
                await self._make_way(case_id, entry.upload_id, path=path, actor=actor)
            return await self._transfers.begin_in(place.case, intent)
        if entry.upload_id is not None:
            hold = self._transfers.holders.hold_of(entry.upload_id)
            if hold is not None:
                await hold.store_row()  # Opened and not written yet, it is shown before the database knows of it.
            with contextlib.suppress(AlreadyFinished):  # published meanwhile: a new version
                return await self._transfers.take(entry.upload_id, case_id=case_id)
        attachment = await self._transfers.attachment(entry.attachment_id or entry.upload_id or "", case_id=case_id)
        return await self._transfers.amend(attachment, dataclasses.replace(intent, modified_at=attachment.modified_at))

    async def _before(self, hold: Hold, case_id: str) -> Content:
        """What a file has that was opened for writing and not written yet: what the one has that it goes on from."""
        if hold.offset == 0:
            return Content(self._r, "", b"", (), 0, inline=b"")
        found = await self._r.database.read(lambda conn: shown_attachment(conn, case_id, hold.upload.name, False))
        if found is None:
            raise NotFound
        return await self._transfers.content(found)

    async def _make_way(self, case_id: str, upload_id: str, *, path: str, actor: Actor) -> None:
        """What happens to an unfinished upload whose name is written anew: if its client had closed it, it is published now, as
        an earlier version; if not, it ends. One that another door has is not this client's to end: it is merely not seen."""
        hold = self._transfers.holders.hold_of(upload_id)
        upload = hold.upload if hold is not None else await self._transfers.upload(upload_id, case_id=case_id)
        if upload.name == path:
            await self._end(case_id, upload_id, actor, "overwritten")

    async def _end(self, case_id: str, upload_id: str, actor: Actor, why: str) -> None:
        """The upload is published, or ends. Whoever has it open is displaced before that, or may close it in between."""
        hold = self._transfers.holders.hold_of(upload_id)
        if hold is not None:
            await self._transfers.holders.drop(hold)
            if not hold.is_stored:
                return
        if not await self._publish_closed(upload_id):
            await self._transfers.terminate(upload_id, case_id=case_id, actor=actor, why=why)

    async def _publish_closed(self, upload_id: str) -> bool:
        """Publishes at once what its client had closed and what was only settling. False where it was not closed, or waits for
        its rename; True also where it is published by now."""
        settled = await self._r.database.write(lambda conn: self._settle_now(conn, upload_id))
        if settled:
            await self._settled.publish_one(upload_id)
        return settled

    def _settle_now(self, conn: Connection, upload_id: str) -> bool:
        row = uploads.lock(conn, upload_id)
        if row is not None and row.state is UploadState.PUBLISHED:
            return True
        if row is None or row.state is not UploadState.SETTLING or row.settles_at is None:
            return False
        # Whoever has it open is displaced.
        uploads.save(conn, dataclasses.replace(row, settles_at=self._r.clock.now(), holder=None, epoch=row.epoch + 1))
        return True

    def _rename_one(self, conn: Connection, case_id: str, old: str, new: str, now: datetime) -> None:
        upload = shown_upload(conn, case_id, old)
        if upload is not None:
            row = uploads.lock(conn, upload.id)
            assert row is not None
            settles_at = row.settles_at
            if row.state is UploadState.SETTLING and not is_temporary_name(new):
                settles_at = max(settles_at or now, now + timedelta(seconds=self._settle_s))
            uploads.save(conn, dataclasses.replace(row, name=_name_behind(row, new), settles_at=settles_at))
            # The file that it was to take the place of does not come back: the old name is free.
            attachments.supersede(conn, case_id, old, from_support=False)
            return
        attachment = shown_attachment(conn, case_id, old, False)
        if attachment is None:
            raise NotFound
        attachments.supersede(conn, case_id, new, from_support=False)
        attachments.rename(conn, attachment.id, new)

    async def _names_below(self, case_id: str, path: str) -> Sequence[str]:
        stored = await self._r.database.read(lambda conn: tuple(names_below(conn, case_id, path)))
        waiting = (shown_path(hold.upload) for hold in self._transfers.holders.pending(case_id))
        below = (name for name in waiting if name.startswith(path + "/"))
        return tuple(dict.fromkeys((*stored, *below)))

    async def _exists(self, case_id: str, path: str) -> bool:
        try:
            await self.stat(case_id, path)
        except NotFound:
            return False
        return True

    async def _check_parent(self, case_id: str, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent and not (await self.stat(case_id, parent)).is_directory:
            raise NotFound

    def _check_writable(self, path: str) -> None:
        if path == "" or path == FROM_SUPPORT or path.startswith(FROM_SUPPORT + "/") or is_receipt(path):
            raise ReadOnly
