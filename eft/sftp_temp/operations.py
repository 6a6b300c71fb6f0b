"""What each request does to the case's directory.

Writing and reading on answer at once, without a task or a coroutine; everything else is a coroutine that the session waits for.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from eft.domain.actor import Actor
from eft.domain.clock import Clock
from eft.domain.errors import EftError, Invalid
from eft.domain.names import COMPONENT_BYTES
from eft.sftp_temp import codec, paths, replies, requests
from eft.sftp_temp.digests import choose, digests
from eft.sftp_temp.downloads import Downloads
from eft.sftp_temp.early import EarlyReplies
from eft.sftp_temp.handles import Handle, HandleTable, OpenDirectory, ReadableFile, WritableFile, fill
from eft.sftp_temp.ports import Directory, Entry, ReadHandle, Reception
from eft.sftp_temp.readahead import ReadAhead
from eft.sftp_temp.reorder import Allowance
from eft.sftp_temp.replies import Facts
from eft.sftp_temp.runs import Runs
from eft.sftp_temp.settings import SftpSettings
from eft.transfers.shown_path import is_temporary_name

Answer = bytes | Coroutine[Any, Any, bytes]

ENTRIES_A_PAGE = 100


class Operations:
    """One session's view of its case. Never sees another."""

    def __init__(self, *, case_id: str, actor: Actor, directory: Directory, clock: Clock, settings: SftpSettings) -> None:
        self._case = case_id
        self._actor = actor
        self._directory = directory
        self._clock = clock
        self._settings = settings
        self._handles = HandleTable(settings.handles_per_session)
        self._allowance = Allowance(2 * settings.reorder_bytes)
        self._ahead = ReadAhead()
        self.early = EarlyReplies()
        self.runs = Runs(self._handles, self.early)
        self._downloads = Downloads(actor)
        self.peer_is_lftp = False
        self.crowded: WritableFile | None = None
        """The file whose reception was full after the last WRITE: wait for it before the next request."""

    def answer(self, request: requests.Request) -> Answer:
        """The reply, or what to wait for to have it. Raises EftError."""
        match request:
            case requests.Write():
                return self._write(request)
            case requests.Read():
                return self._read(request)
            case requests.Stat():
                return self._stat(request)
            case requests.FStat():
                return replies.attributes(request.id, self._facts_of_handle(self._handles.get(request.handle)))
            case requests.Open():
                return self._open(request)
            case requests.Close():
                return self._close(request)
            case requests.ReadDir():
                return self._read_directory(request)
            case requests.OpenDir():
                return self._open_directory(request)
            case requests.SetStat():
                return self._set_stat(request)
            case requests.FSetStat():
                return self._set_stat_of_handle(request)
            case requests.RealPath():
                return replies.real_path(request.id, paths.absolute(paths.resolve(request.path)))
            case requests.Remove():
                return self._remove(request)
            case requests.MakeDir():
                return self._make_directory(request)
            case requests.RemoveDir():
                return self._remove_directory(request)
            case requests.Rename():
                return self._rename(request)
            case requests.FSync():
                return self._fsync(request)
            case requests.CheckFile():
                return self._check_file(request)
            case requests.CopyData():
                return self._copy(request)
            case requests.StatVfs():
                return self._space(request)
            case requests.Limits():
                return replies.limits(request.id, packet=codec.PACKET_BYTES - 1024, handles=self._settings.handles_per_session)
            case requests.Refused():
                raise request.error
            case _:
                return replies.status(request.id, replies.OP_UNSUPPORTED, "This server does not support that operation.")

    async def end(self) -> None:
        """Lets go of everything. Nothing is settled by it. Never raises."""
        self.early.end()
        await self._ahead.forget()
        for handle in self._handles.take_all():
            await self._let_go(handle)
        await self._downloads.end()

    async def _let_go(self, handle: Handle) -> None:
        if isinstance(handle, WritableFile):
            await handle.let_go()
        elif isinstance(handle, ReadableFile):
            handle.reader.close()
            await self._downloads.closed(handle)

    # Bytes

    def _write(self, request: requests.Write) -> Answer:
        file = self._handles.find(request.handle)
        if not isinstance(file, WritableFile):
            raise Invalid("The handle is not open for writing.", "Open the file for writing.")
        if file.is_behind(request.offset) and request.length:
            return self._rewrite(request, file)
        try:
            file.write(request.offset, request.parts, request.length)
        except EftError as error:
            self.early.refuse(file, error)
            raise
        if file.reception.full:
            self.crowded = file
        if not file.has_hole and not self.early:
            return replies.ok(request.id)
        return self.early.answer(file, request.offset + request.length, request.id)

    async def _rewrite(self, request: requests.Write, file: WritableFile) -> bytes:
        await file.rewrite(request.offset, request.parts, request.length)
        return self.early.answer(file, request.offset + request.length, request.id)

    def _read(self, request: requests.Read) -> Answer:
        file = self._handles.get(request.handle)
        if isinstance(file, WritableFile) and file.readable:
            return self._read_back(request, file)
        if not isinstance(file, ReadableFile):
            raise Invalid("The handle is not open for reading.", "Open the file for reading.")
        if request.offset >= file.reader.size:
            file.served.asked |= not file.reader.size
            return replies.end_of_file(request.id)
        length = min(request.length, replies.TRANSFER_BYTES)
        found = self._ahead.get(file, request.offset, length)
        if found is not None:
            file.served.add(request.offset, request.offset + len(found))
            return replies.data(request.id, found)
        return self._fetch(request.id, file, request.offset, length)

    async def _fetch(self, identifier: bytes, file: ReadableFile, offset: int, length: int) -> bytes:
        data = await self._ahead.fetch(file, offset, length)
        file.served.add(offset, offset + len(data))
        return replies.data(identifier, data)

    async def _read_back(self, request: requests.Read, file: WritableFile) -> bytes:
        """From a file that is being written: what was received of it is made durable, and read."""
        await file.reception.commit()
        content = await self._directory.open_received(self._case, file.reception.upload_id)
        try:
            data = await content.read(request.offset, request.offset + min(request.length, replies.TRANSFER_BYTES))
        finally:
            content.close()
        return replies.data(request.id, data) if data else replies.end_of_file(request.id)

    async def _fsync(self, request: requests.FSync) -> bytes:
        file = self._handles.get(request.handle)
        if isinstance(file, WritableFile):
            if file.error is not None:
                raise file.error
            await file.reception.commit()
        return replies.ok(request.id)

    # Opening and closing

    def _open(self, request: requests.Open) -> Answer:
        path = paths.resolve(request.path)
        self._handles.reserve()
        if request.writes_anew and path:
            reception = self._directory.open_new(self._case, path, self._actor)
            if reception is not None:
                return replies.handle(request.id, self._handles.add(self._writable(reception, request)))
        return self._look_and_open(request, path)

    async def _look_and_open(self, request: requests.Open, path: str) -> bytes:
        if request.has(requests.FLAG_WRITE | requests.FLAG_APPEND):
            handle: Handle = await self._open_write(request, path)
        elif request.has(requests.FLAG_READ):
            facts = _facts(await self._directory.stat(self._case, path))
            if facts.directory:
                raise Invalid("This is a directory.", "Name a file in it.")
            handle = ReadableFile(await self._directory.open_read(self._case, path), facts)
        else:
            raise Invalid("The file was to be opened neither for reading nor for writing.", "Set one of the two.")
        return replies.handle(request.id, self._handles.add(handle))

    async def _open_write(self, request: requests.Open, path: str) -> WritableFile:
        if not path:
            raise Invalid("This is a directory.", "Name a file in it.")
        create, truncate = request.has(requests.FLAG_CREATE), request.has(requests.FLAG_TRUNCATE)
        reception = await self._directory.open_write(
            self._case, path, self._actor, create=create, truncate=truncate, exclusive=request.is_exclusive
        )
        return self._writable(reception, request)

    def _writable(self, reception: Reception, request: requests.Open) -> WritableFile:
        append, readable = request.has(requests.FLAG_APPEND), request.has(requests.FLAG_READ)
        window_bytes = self._settings.reorder_bytes
        return WritableFile(reception, append=append, readable=readable, window_bytes=window_bytes, allowance=self._allowance)

    async def _close(self, request: requests.Close) -> bytes:
        """The client's own CLOSE, and nothing else, is its word that the file is whole. OK is sent when it is durable."""
        handle = self._handles.pop(request.handle)
        if not isinstance(handle, WritableFile):
            if isinstance(handle, ReadableFile):
                await self._ahead.forget(handle)
            await self._let_go(handle)
            return replies.ok(request.id)
        try:
            handle.check_whole()
            rest_s = handle.quarantine(self._settings.settle_s, self._settings.settle_suspicious_s, sets_time=self.peer_is_lftp)
            await handle.reception.settle(rest_s)
        except BaseException as error:
            if isinstance(error, EftError):
                self.early.refuse(handle, error)
            await handle.let_go()
            raise
        return replies.ok(request.id)

    # What is told

    async def _stat(self, request: requests.Stat) -> bytes:
        path = paths.resolve(request.path)
        if (file := self._handles.writing(path)) is not None:
            return replies.attributes(request.id, self._facts_of_handle(file))
        return replies.attributes(request.id, _facts(await self._directory.stat(self._case, path)))

    def _facts_of_handle(self, handle: Handle) -> Facts:
        if isinstance(handle, WritableFile):
            return Facts(handle.reception.size, handle.modified_at or self._clock.now())
        if isinstance(handle, ReadableFile):
            return handle.facts
        return Facts(0, self._clock.now(), directory=True)

    async def _open_directory(self, request: requests.OpenDir) -> bytes:
        path = paths.resolve(request.path)
        self._handles.reserve()
        entries = await self._directory.list(self._case, path)
        listed = [(paths.base(entry.path), _facts(entry)) for entry in entries]
        return replies.handle(request.id, self._handles.add(OpenDirectory(listed)))

    def _read_directory(self, request: requests.ReadDir) -> bytes:
        directory = self._handles.get(request.handle)
        if not isinstance(directory, OpenDirectory):
            raise Invalid("The handle is not a directory.", "Open the directory first.")
        page = directory.page(ENTRIES_A_PAGE)
        return replies.names(request.id, page, self._clock.now()) if page else replies.end_of_file(request.id)

    async def _space(self, request: requests.StatVfs) -> bytes:
        space = await self._directory.space()
        return replies.space(request.id, total=space.total, free=space.free, name_bytes=COMPONENT_BYTES)

    # Digests and copies

    async def open_file(self, raw: bytes) -> ReadHandle:
        """A whole file for reading. Raises EftError."""
        return await self._directory.open_read(self._case, paths.resolve(raw))

    async def _check_file(self, request: requests.CheckFile) -> bytes:
        algorithm = choose(request.algorithms)
        if request.path is not None:
            reader = await self.open_file(request.path)
            try:
                found = await digests(reader, algorithm, request.start, request.length, request.block)
            finally:
                reader.close()
        else:
            file = self._handles.get(request.handle or b"")
            if not isinstance(file, ReadableFile):
                raise Invalid("The handle is not open for reading.", "Open the file for reading.")
            found = await digests(file.reader, algorithm, request.start, request.length, request.block)
        return replies.checked(request.id, algorithm, found, tagged=request.tagged)

    async def _copy(self, request: requests.CopyData) -> bytes:
        source, target = self._handles.get(request.source), self._handles.get(request.target)
        if not isinstance(source, ReadableFile) or not isinstance(target, WritableFile):
            raise Invalid("A copy goes from a file open for reading into one open for writing.", "Open the files so.")
        start, offset = request.start, request.offset
        stop = source.reader.size if request.length == 0 else min(source.reader.size, start + request.length)
        while start < stop:
            piece = await source.reader.read(start, min(start + replies.TRANSFER_BYTES, stop))
            if not piece:
                break
            if target.is_behind(offset):
                await target.rewrite(offset, (piece,), len(piece))
            else:
                target.write(offset, (piece,), len(piece))
            if target.reception.full:
                await target.reception.ready()
            start, offset = start + len(piece), offset + len(piece)
        return replies.ok(request.id)

    # What is set

    async def _set_stat(self, request: requests.SetStat) -> bytes:
        """Owner and permissions are accepted and mean nothing, the time is kept, the size can only be what it is."""
        path = paths.resolve(request.path)
        if (file := self._handles.writing(path)) is not None:
            return self._set_on_open_file(request.id, file, request.attributes)
        entry = await self._directory.stat(self._case, path)
        if request.attributes.size == 0 and entry.size and entry.kind == "file":
            await self._empty(path)
            return replies.ok(request.id)
        _check_size(request.attributes, entry.size)
        if (modified_at := request.attributes.modification_time) is not None and entry.kind == "file":
            await self._directory.touch(self._case, path, modified_at)
        return replies.ok(request.id)

    def _set_stat_of_handle(self, request: requests.FSetStat) -> Answer:
        handle = self._handles.get(request.handle)
        if isinstance(handle, WritableFile):
            size = request.attributes.size
            if size is not None and size < handle.reception.size:
                return self._cut(request, handle, size)
            return self._set_on_open_file(request.id, handle, request.attributes)
        if request.attributes.size is not None:
            raise Invalid("The handle is not open for writing.", "Open the file for writing.")
        return replies.ok(request.id)

    def _set_on_open_file(self, identifier: bytes, file: WritableFile, attributes: requests.Attributes) -> bytes:
        _check_size(attributes, file.reception.size)
        if (modified_at := attributes.modification_time) is not None:
            file.modified_at = modified_at
            self._directory.touch_upload(file.reception.upload_id, modified_at)
        return replies.ok(identifier)

    async def _cut(self, request: requests.FSetStat, file: WritableFile, size: int) -> bytes:
        """The file ends at `size`, as scp has it when it wrote over a longer one. What is left becomes a file of its own, beside
        the other until it is whole; a version of the longer one that had been published is kept."""
        file.check_whole()
        await file.reception.commit()
        beside = f"{file.path.removesuffix(paths.base(file.path))}.cut-{file.reception.upload_id}.tmp"
        cut = await self._directory.open_write(self._case, beside, self._actor, create=True, truncate=True, exclusive=False)
        try:
            await fill(cut, await self._directory.open_received(self._case, file.reception.upload_id), size)
            await cut.commit()
            await file.reception.release()
            await self._directory.rename(self._case, beside, file.path, self._actor, replace=True)
        except BaseException:
            await cut.release()
            raise
        file.go_on_in(cut)
        return self._set_on_open_file(request.id, file, request.attributes)

    async def _empty(self, path: str) -> None:
        """The file is cut to nothing, as by a shell's `>` over sshfs: a new version begins, and the old one is kept."""
        reception = await self._directory.open_write(self._case, path, self._actor, create=False, truncate=True, exclusive=False)
        settle_s = self._settings.settle_suspicious_s
        await reception.settle(None if is_temporary_name(path) else settle_s)

    # Names

    async def _make_directory(self, request: requests.MakeDir) -> bytes:
        await self._directory.make(self._case, paths.resolve(request.path), self._actor)
        return replies.ok(request.id)

    async def _remove_directory(self, request: requests.RemoveDir) -> bytes:
        await self._directory.remove_directory(self._case, paths.below_root(request.path), self._actor)
        return replies.ok(request.id)

    async def _remove(self, request: requests.Remove) -> bytes:
        path = paths.below_root(request.path)
        await self._land(path)
        await self._directory.remove(self._case, path, self._actor)
        return replies.ok(request.id)

    async def _rename(self, request: requests.Rename) -> bytes:
        old, new = paths.below_root(request.old), paths.below_root(request.new)
        await self._land(old)
        await self._directory.rename(self._case, old, new, self._actor, replace=request.replace)
        return replies.ok(request.id)

    async def _land(self, path: str) -> None:
        """Makes a file known under its name that this session still has open, before something is done to the name."""
        if (file := self._handles.writing(path)) is not None:
            await file.reception.commit()


def _facts(entry: Entry) -> Facts:
    return Facts(entry.size, entry.modified_at, directory=entry.kind == "directory", read_only=entry.read_only)


def _check_size(attributes: requests.Attributes, size: int) -> None:
    """Raises Invalid where a file is to be cut or stretched. OpenSSH's scp sets the size that the file has: that is fine."""
    if attributes.size is not None and attributes.size != size:
        raise Invalid("A file cannot be cut or stretched.", "Send the file again from the start.")
