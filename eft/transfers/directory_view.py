"""A case as a plain directory: what an SFTP client sees.

`/` has the newest version of each file that the customer sent, the uploads that are not finished, with their durable size, and
the directories that the client made. An unfinished upload of this door stands under its own name, one that was begun over HTTPS
as `NAME.part`, where it can be continued (P4). `/from-support` has what support handed back, `/receipts` the digest and the
receipt of each finished file; both are read-only. `NAME.refused` says why NAME was not taken. Versions that were overwritten or
removed stay with the case until its purge; they are merely not shown here.

Paths are relative, `/` between components, normalised by the door; `""` is the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from eft.db import attachments, cases, directories, uploads
from eft.db.engine import Connection
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case
from eft.domain.errors import EftError, NotFound
from eft.domain.upload import Source, Upload, UploadState
from eft.transfers.free_names import FreeNames
from eft.transfers.hold import Hold
from eft.transfers.receipts_view import RECEIPTS, ReceiptsView, is_receipt
from eft.transfers.refusals_view import refused_upload, refused_uploads, text_of
from eft.transfers.resources import Resources
from eft.transfers.service import Transfers
from eft.transfers.shown_path import PART, shown_path

FROM_SUPPORT = "from-support"
_SHOWN = {
    Source.SFTP: frozenset({UploadState.RECEIVING, UploadState.SETTLING, UploadState.FROZEN}),
    Source.HTTPS: frozenset({UploadState.RECEIVING, UploadState.FROZEN}),
    Source.SUPPORT: frozenset[UploadState](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing in the directory. `size` in bytes: what is durable of an upload that is not finished."""

    path: str
    is_directory: bool
    size: int = 0
    modified_at: datetime
    read_only: bool = False
    upload_id: str | None = None
    attachment_id: str | None = None
    refused: Upload | None = None
    """The upload that was not taken, where this entry says so."""

    @property
    def kind(self) -> Literal["file", "directory"]:
        return "directory" if self.is_directory else "file"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is to be written: the case, what is there already, and whether there is a directory for it."""

    case: Case
    entry: Entry | None
    has_parent: bool


class View:
    """Looks at the directory of any case; all methods take the case's id first."""

    def __init__(self, resources: Resources, transfers: Transfers, receipts: ReceiptsView) -> None:
        self._r = resources
        self._transfers = transfers
        self._receipts = receipts
        self.free = FreeNames(resources.clock)

    async def stat(self, case_id: str, path: str) -> Entry:
        """Raises NotFound."""
        if path in ("", FROM_SUPPORT, RECEIPTS):
            return await self._fixed(case_id, path)
        if is_receipt(path):
            return await self._stat_receipt(case_id, path)
        support, name = _side(path)
        waiting = None if support else self._waiting_at(case_id, name)
        if waiting is not None:
            return await self._told(waiting)
        found = await self._r.database.read(lambda conn: _found_at(conn, case_id, name, support))
        entry = await self._entry_of(found, case_id, path)
        if entry is None:
            raise NotFound
        return entry

    async def place(self, case_id: str, path: str) -> Place:
        """What is where a file is to be written, which is not below `from-support` or `receipts`: looked at in one step, as many
        small files are put one after the other. Raises NotFound where there is no such case."""
        waiting = self._waiting_at(case_id, path)
        parent, _, name = path.rpartition("/")
        around = self.free.look(case_id, path)

        def look(conn: Connection) -> tuple[Case | None, Upload | Attachment | datetime | None, bool, set[str] | None]:
            found = None if waiting is not None else _found_at(conn, case_id, path, support=False)
            has_parent = not parent or _is_directory(conn, case_id, parent)
            return cases.get(conn, case_id), found, has_parent, around.taken(conn)

        case, found, has_parent, taken = await self._r.database.read(look)
        if case is None:
            raise NotFound
        if has_parent:
            if taken is not None:
                taken.update((name, *self._begun_in(case_id, parent)))
            self.free.learn(around, case, taken)
        entry = await self._entry_of(found, case_id, path) if waiting is None else self._entry_of_hold(waiting)
        return Place(case, entry, has_parent)

    def _begun_in(self, case_id: str, directory: str) -> Iterator[str]:
        """The names in a directory that this worker has files open under."""
        for hold in self._transfers.holders.of_case(case_id):
            parent, _, name = shown_path(hold.upload).rpartition("/")
            if parent == directory:
                yield name

    def _waiting_at(self, case_id: str, path: str) -> Hold | None:
        """What this worker has at the path, and the database does not know yet."""
        for hold in self._transfers.holders.pending(case_id):
            if _is_shown(hold.upload) and shown_path(hold.upload) == path:
                return hold
        return None

    async def _told(self, hold: Hold) -> Entry:
        """Its entry, for a client whose next connection may be another worker's: what it is told is durable, and known there. It
        may be closed meanwhile, or end: raises NotFound."""
        if not hold.is_untouched:
            with suppress(EftError):
                await hold.commit()
        if not hold.is_stored:
            return self._entry_of_hold(hold)
        upload = await self._transfers.upload(hold.upload.id, case_id=hold.upload.case_id)
        if upload.state is UploadState.EXPIRED:
            raise NotFound
        return self._upload_entry(upload)

    def _entry_of_hold(self, hold: Hold) -> Entry:
        return self._upload_entry(dataclasses.replace(hold.upload, offset=hold.safe))

    async def _entry_of(self, found: Upload | Attachment | datetime | None, case_id: str, path: str) -> Entry | None:
        if isinstance(found, Upload) and found.state is UploadState.REFUSED:
            return _refused_entry(found, path)
        if isinstance(found, Upload):
            return self._upload_entry(await self._transfers.upload(found.id, case_id=case_id))
        if isinstance(found, Attachment):
            return _attachment_entry(found, path)
        if found is None:
            return None
        modified = await self._created_at(case_id) if found is _LONG_AGO else found
        return Entry(path=path, is_directory=True, modified_at=modified, read_only=_side(path)[0])

    async def list(self, case_id: str, path: str) -> Sequence[Entry]:
        """What is directly in a directory, sorted by name. Raises NotFound."""
        this = await self.stat(case_id, path)
        if not this.is_directory:
            raise NotFound
        if is_receipt(path):
            return await self._list_receipts(case_id, path)
        support, name = _side(path)

        def work(conn: Connection) -> tuple[list[Attachment], list[Upload], dict[str, datetime], Mapping[str, Upload]]:
            shown = [found for found in attachments.visible(conn, case_id) if (found.source is Source.SUPPORT) == support]
            if support:
                return shown, [], {}, {}
            mine = [found for found in uploads.unfinished(conn, case_id) if _is_shown(found)]
            return shown, mine, directories.of_case(conn, case_id), refused_uploads(conn, case_id)

        waiting = [] if support else self._transfers.holders.pending(case_id)  # before the look: it may be stored by then
        shown, mine, made, refused = await self._r.database.read(work)
        prefix = name + "/" if name else ""
        entries: dict[str, Entry] = {}
        for told, upload in refused.items():
            self._place(entries, prefix, told, _refused_entry(upload, told))
        for attachment in shown:
            self._place(entries, prefix, attachment.name, _attachment_entry(attachment, _path(support, attachment.name)))
        # The newest last, and what this door has itself after what another has: the later takes the name.
        mine.reverse()
        for upload in sorted(mine, key=lambda upload: upload.source is Source.SFTP):
            if upload.name.startswith(prefix):
                live = (
                    await self._transfers.upload(upload.id, case_id=case_id) if upload.state is UploadState.RECEIVING else upload
                )
                self._place(entries, prefix, shown_path(upload), self._upload_entry(live))
        for hold in waiting:
            if _is_shown(hold.upload):
                with suppress(NotFound):
                    entry = await self._told(hold)
                    self._place(entries, prefix, entry.path, entry)
        for directory, at in made.items():
            self._place(entries, prefix, directory, Entry(path=directory, is_directory=True, modified_at=at))
        if path == "":
            for fixed in (FROM_SUPPORT, RECEIPTS):
                entries[fixed] = Entry(path=fixed, is_directory=True, modified_at=this.modified_at, read_only=True)
        return sorted(entries.values(), key=lambda entry: entry.path)

    async def _fixed(self, case_id: str, path: str) -> Entry:
        created = await self._created_at(case_id)
        return Entry(path=path, is_directory=True, modified_at=created, read_only=path != "")

    async def _stat_receipt(self, case_id: str, path: str) -> Entry:
        below = False
        for found, size, attachment in await self._receipts.sizes(case_id):
            if found == path:
                return _receipt_entry(found, size, attachment)
            below = below or found.startswith(path + "/")
        if not below:
            raise NotFound
        created = await self._created_at(case_id)
        return Entry(path=path, is_directory=True, modified_at=created, read_only=True)

    async def _list_receipts(self, case_id: str, path: str) -> Sequence[Entry]:
        entries: dict[str, Entry] = {}
        for found, size, attachment in await self._receipts.sizes(case_id):
            self._place(entries, path + "/", found, _receipt_entry(found, size, attachment))
        return sorted(entries.values(), key=lambda entry: entry.path)

    async def _created_at(self, case_id: str) -> datetime:
        case = await self._r.database.read(lambda conn: cases.get(conn, case_id))
        if case is None:
            raise NotFound
        return case.created_at

    def _upload_entry(self, upload: Upload) -> Entry:
        modified = upload.modified_at or upload.created_at
        return Entry(path=shown_path(upload), is_directory=False, size=upload.offset, modified_at=modified, upload_id=upload.id)

    def _place(self, entries: dict[str, Entry], prefix: str, name: str, entry: Entry) -> None:
        """Puts what is directly below `prefix` among the entries, and for what is deeper the directory that leads there."""
        if not name.startswith(prefix) or name == prefix:
            return
        head, deeper, _ = name[len(prefix) :].partition("/")
        if not deeper:
            entries[head] = entry
        elif head not in entries:
            path = entry.path[: len(entry.path) - len(name) + len(prefix) + len(head)]
            entries[head] = Entry(path=path, is_directory=True, modified_at=entry.modified_at, read_only=entry.read_only)


_LONG_AGO = datetime.min


def _found_at(conn: Connection, case_id: str, name: str, support: bool) -> Upload | Attachment | datetime | None:
    """What stands at the name; of a directory the time of its making, `_LONG_AGO` where it is there for what is in it."""
    upload = None if support else shown_upload(conn, case_id, name)
    if upload is not None:
        return upload
    attachment = shown_attachment(conn, case_id, name, support)
    if attachment is not None:
        return attachment
    refused = None if support else refused_upload(conn, case_id, name)
    if refused is not None:
        return refused
    made_at = None if support else directories.made_at(conn, case_id, name)
    return made_at or (_LONG_AGO if _is_any_below(conn, case_id, name, support) else None)


def _is_directory(conn: Connection, case_id: str, name: str) -> bool:
    if directories.made_at(conn, case_id, name) is not None:
        return True
    return isinstance(_found_at(conn, case_id, name, support=False), datetime)


def _side(path: str) -> tuple[bool, str]:
    """Whether the path is support's side, and the name there."""
    if path == FROM_SUPPORT:
        return True, ""
    if path.startswith(FROM_SUPPORT + "/"):
        return True, path[len(FROM_SUPPORT) + 1 :]
    return False, path


def _path(support: bool, name: str) -> str:
    return f"{FROM_SUPPORT}/{name}" if support else name


def _is_shown(upload: Upload) -> bool:
    return upload.state in _SHOWN[upload.source] and not upload.is_part


def shown_upload(conn: Connection, case_id: str, name: str) -> Upload | None:
    """The unfinished upload that stands at `name`."""
    upload = uploads.by_name(conn, case_id, name, Source.SFTP)
    if (upload is None or not _is_shown(upload)) and name.endswith(PART):
        upload = uploads.by_name(conn, case_id, name.removesuffix(PART), Source.HTTPS)
    return upload if upload is not None and _is_shown(upload) else None


def shown_attachment(conn: Connection, case_id: str, name: str, support: bool) -> Attachment | None:
    found = attachments.newest_by_name(conn, case_id, name, from_support=support)
    if found is None or found.hidden or found.superseded or found.state is not AttachmentState.AVAILABLE:
        return None
    return found


def _attachment_entry(attachment: Attachment, path: str) -> Entry:
    return Entry(
        path=path,
        is_directory=False,
        size=attachment.size,
        modified_at=attachment.modified_at or attachment.received_at,
        read_only=attachment.source is Source.SUPPORT,
        attachment_id=attachment.id,
    )


def _refused_entry(upload: Upload, path: str) -> Entry:
    return Entry(
        path=path,
        is_directory=False,
        size=len(text_of(upload)),
        modified_at=upload.modified_at or upload.created_at,
        read_only=True,
        upload_id=upload.id,
        refused=upload,
    )


def _receipt_entry(path: str, size: int, attachment: Attachment) -> Entry:
    return Entry(
        path=path,
        is_directory=False,
        size=size,
        modified_at=attachment.received_at,
        read_only=True,
        attachment_id=attachment.id,
    )


def names_below(conn: Connection, case_id: str, path: str) -> Iterator[str]:
    """The paths of all that the client's directory shows below `path`."""
    yield from (
        found.name
        for found in attachments.visible(conn, case_id)
        if found.source is not Source.SUPPORT and found.name.startswith(path + "/")
    )
    yield from (shown_path(found) for found in uploads.unfinished_below(conn, case_id, path) if _is_shown(found))


def _is_any_below(conn: Connection, case_id: str, path: str, support: bool) -> bool:
    if attachments.is_any_below(conn, case_id, path, from_support=support):
        return True
    if support:
        return False
    mine = uploads.unfinished_below(conn, case_id, path)
    return any(map(_is_shown, mine)) or directories.is_any_below(conn, case_id, path)
