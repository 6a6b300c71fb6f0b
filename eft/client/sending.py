"""Sends one file, through whatever happens on the way, and compares at the end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
import hashlib
import sys
import threading
from typing import Any, Protocol

from eft.client.clock import MonotonicClock
from eft.client.errors import ClientError, FileChanged, Missing, NotVerified, Transient
from eft.client.fingerprint import fingerprint
from eft.client.gateway import Gateway
from eft.client.listing import Listed, list_case
from eft.client.parts import Body, PartUploader, metadata_value, repr_digest, sha256_checksum
from eft.client.patience import Patience
from eft.client.preparing import LARGEST, SMALLEST, Part, PipeSource, Preparing, digest_of
from eft.client.progress import Named
from eft.client.sources import FileSource, Item
from eft.client.unfinished import Begun, Unfinished

IN_ONE_REQUEST = 1024 * 1024
"""Bytes of the largest file that goes with the request that creates it, digest and all."""

_MOST_MISMATCHES = 5
_MOST_DISPLACEMENTS = 20
_MOST_FAULTS = 12


@dataclass(frozen=True, slots=True)
class Sent:
    """What arrived. `size` in bytes, `sha256` in hex; `location` is its address; `resumed`: how much an earlier run had sent."""

    name: str
    size: int
    sha256: str
    location: str
    resumed: int
    record: str = ""
    """The key of what was noted of it; empty where nothing was."""


class Watcher(Protocol):
    """Who is told how far it is."""

    def at(self, item: Named, offset: int, size: int | None) -> None: ...

    def note(self, item: Named, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all files of one command share. `give_up_after_s`: without progress."""

    gateway: Gateway
    unfinished: Unfinished
    stop: threading.Event
    watcher: Watcher
    clock: MonotonicClock
    give_up_after_s: float
    digest_first: bool = False


def send(item: Item, terms: Terms) -> Sent:
    """Returns when the gateway has the whole file and its digest is that of what was read here. Raises ClientError."""
    job = _Sending(item, terms)
    try:
        return job.run()
    finally:
        job.close()


class _Sending:
    def __init__(self, item: Item, terms: Terms) -> None:
        self._item = item
        self._terms = terms
        self._source: Any = PipeSource(sys.stdin.buffer) if item.path is None else FileSource(item.path)
        self._size: int | None = self._source.size
        self._parts = Preparing(self._source)
        self._patience = Patience(terms.give_up_after_s, terms.stop, terms.clock)
        self._part_bytes = LARGEST // 2
        self._digest: Any = hashlib.sha256()
        self._hashed = 0
        self._resumed = 0
        self._is_sure = True
        self._counts = {"checksum-mismatch": 0, "writer-displaced": 0, "internal-error": 0}
        self._fingerprint = ""
        self._key = ""
        metadata = {"filename": item.name.rsplit("/", 1)[-1]}
        if "/" in item.name:
            metadata["relativePath"] = item.name
        if isinstance(self._source, FileSource):
            self._fingerprint = metadata["fingerprint"] = fingerprint(self._source.file, self._source.size)
            self._key = Unfinished.key(terms.gateway.base, item.name, self._fingerprint)
            if terms.digest_first or self._source.size <= IN_ONE_REQUEST:
                whole, _ = digest_of(self._source, self._source.size, terms.stop)
                metadata["sha256"] = whole.hexdigest()
        self._metadata = metadata
        self._uploader = PartUploader(terms.gateway, metadata, self._size)

    def run(self) -> Sent:
        while True:
            try:
                return self._go_on()
            except Transient as failure:
                self._count(failure)
                pause = self._patience.next_pause(failure)
                self._is_sure = False
                self._part_bytes = max(SMALLEST, self._part_bytes // 2)
                if pause >= 1:
                    self._terms.watcher.note(self._item, f"{failure}; trying again in {pause:.0f} s")
                self._patience.wait(pause)
            except FileChanged:
                self._give_back()
                raise

    def close(self) -> None:
        self._parts.close()

    # One attempt.

    def _go_on(self) -> Sent:
        uploader = self._uploader
        if uploader.url is None:
            self._begin()
        elif not self._is_sure:
            try:
                uploader.offset = uploader.get_offset()
            except Missing:
                self._terms.watcher.note(self._item, "the gateway has dropped what was sent; beginning anew")
                self._start_over()
                self._begin()
        self._is_sure = True
        while not self._is_whole():
            self._send_part()
        return self._compare()

    def _is_whole(self) -> bool:
        return self._uploader.size is not None and self._uploader.offset >= self._uploader.size

    def _send_part(self) -> None:
        uploader, terms = self._uploader, self._terms
        self._hash_up_to(uploader.offset)
        part = self._parts.part(uploader.offset, self._digest, self._part_bytes)
        if self._size is None and part.ends:
            uploader.size, uploader.deferred = part.stop, True
        self._parts.prepare(part, self._part_bytes)
        began = terms.clock.monotonic()
        offset = part.offset
        uploader.send(Body(part.data, terms.stop, lambda sent: self._tell(offset + sent)), part.checksum)
        self._acknowledged(part, terms.clock.monotonic() - began)

    def _acknowledged(self, part: Part, seconds: float) -> None:
        self._digest, self._hashed = part.after, part.stop
        self._patience.progressed()
        self._counts = dict.fromkeys(self._counts, 0)
        self._tell(part.stop)
        if seconds < 5:
            self._part_bytes = min(LARGEST, self._part_bytes * 2)
        elif seconds > 20:
            self._part_bytes = max(SMALLEST, self._part_bytes // 2)
        self._note()

    def _hash_up_to(self, offset: int) -> None:
        """The digest of `[0, offset)`: what an earlier run sent, or what was acknowledged unheard, is read again."""
        if self._hashed == offset:
            return
        if self._size is None:
            # Standard input: the part whose answer was lost is still in memory.
            part = self._parts.part(self._hashed, self._digest, self._part_bytes)
            if part.stop == offset:
                self._digest, self._hashed = part.after, part.stop
            return
        self._digest, _ = digest_of(self._source, offset, self._terms.stop)
        self._hashed = offset

    # Beginning.

    def _begin(self) -> None:
        """Goes on with what an earlier run began, where the content is the same; else creates the upload."""
        if self._take_up_known():
            return
        uploader = self._uploader
        if self._size is not None and 0 <= self._size <= IN_ONE_REQUEST:
            if not self._is_sure and self._find_what_got_lost():
                return
            part = self._parts.part(0, self._digest, IN_ONE_REQUEST)
            body = Body(part.data, self._terms.stop, self._tell)
            uploader.url = uploader.create_url(body, sha256_checksum(part.data))
            if uploader.offset == len(part.data):
                self._digest, self._hashed = part.after, part.stop
        else:
            uploader.url = uploader.create_url()
            uploader.deferred = self._size is None
        self._note()

    def _take_up_known(self) -> bool:
        if not self._key:
            return False
        return any(self._take_up(begun) for begun in self._terms.unfinished.find(self._key))

    def _take_up(self, begun: Begun) -> bool:
        uploader = self._uploader
        try:
            uploader.url = self._terms.gateway.absolute(begun.location)
            offset = uploader.get_offset()
        except Missing:
            # Expired, ended, or of another case than this token's: a new upload it is.
            uploader.url = None
            return False
        except NotVerified:
            # Refused as a whole: sending it once more is the remedy.
            self._terms.unfinished.forget(self._key, begun.location)
            uploader.url = None
            return False
        except BaseException:
            uploader.url = None
            raise
        said = metadata_value(uploader.ends, "fingerprint")
        if said not in (None, self._fingerprint) or offset > self._source.size:
            uploader.url = None
            return False
        digest, at_mark = digest_of(self._source, offset, self._terms.stop, min(begun.offset, offset))
        if offset < begun.offset or at_mark != begun.sha256:
            self._terms.watcher.note(self._item, "is another file than the one that was begun; it is sent anew")
            uploader.url = None
            return False
        uploader.offset, self._resumed = offset, offset
        self._digest, self._hashed = digest, offset
        if 0 < offset < self._source.size:
            self._terms.watcher.note(self._item, f"goes on at {100 * offset // self._source.size} %")
        self._tell(offset)
        return True

    def _find_what_got_lost(self) -> bool:
        """The request that created and sent a small file may have been carried out though its answer was lost."""
        listed: Listed | None = list_case(self._terms.gateway, self._item.name)
        if listed is None:
            return False
        sha256 = self._metadata.get("sha256")
        for each in listed.attachments:
            if (each.name, each.sha256) == (self._item.name, sha256):
                self._uploader.url = f"{self._terms.gateway.files}/{each.id}"
                self._uploader.offset = self._uploader.get_offset()
                return True
        return False

    def _start_over(self) -> None:
        if self._size is None:
            raise ClientError(
                "The gateway has dropped what came through standard input, which cannot be read twice.",
                "Save it to a file, and send that.",
            )
        if self._uploader.url is not None:
            self._terms.unfinished.forget(self._key, self._uploader.url)
        self._uploader = PartUploader(self._terms.gateway, self._metadata, self._size)
        self._digest, self._hashed = hashlib.sha256(), 0

    # The end.

    def _compare(self) -> Sent:
        uploader = self._uploader
        self._hash_up_to(uploader.offset)
        told = repr_digest(uploader.ends)
        if told is None:
            uploader.get_offset()
            told = repr_digest(uploader.ends)
        ours = self._digest.hexdigest()
        if isinstance(self._source, FileSource):
            self._source.check_unchanged()
        if told != ours:
            if self._key:
                self._terms.unfinished.forget(self._key, str(uploader.url))
            if told is None:
                raise NotVerified("The gateway told no digest of the whole file.", "Look the file up on the case page.")
            raise NotVerified(
                f"What arrived has the SHA-256 {told}, what was read here has {ours}.",
                "Tell your support contact not to use it, and send the file again.",
            )
        self._note(done=True)
        return Sent(self._item.name, uploader.offset, ours, str(uploader.url), self._resumed, self._key)

    # What others are told.

    def _tell(self, offset: int) -> None:
        self._terms.watcher.at(self._item, offset, self._uploader.size)

    def _note(self, *, done: bool = False) -> None:
        if self._key and self._uploader.url is not None:
            begun = Begun(self._uploader.url, self._hashed, self._digest.hexdigest(), done)
            self._terms.unfinished.note(self._key, begun)

    def _count(self, failure: Transient) -> None:
        if failure.code not in self._counts:
            return
        self._counts[failure.code] += 1
        if failure.code == "checksum-mismatch" and self._counts[failure.code] >= _MOST_MISMATCHES:
            raise NotVerified(
                "The same part arrived damaged again and again.",
                "Something between here and the gateway changes data. Try another network or proxy, and run the command again.",
            )
        if failure.code == "writer-displaced" and self._counts[failure.code] >= _MOST_DISPLACEMENTS:
            raise ClientError("Another program is sending this very upload.", "Let it finish, or stop it.")

        if failure.code == "internal-error" and self._counts[failure.code] >= _MOST_FAULTS:
            raise ClientError(str(failure), "The gateway is at fault. Tell your support contact; the same command goes on later.")

    def _give_back(self) -> None:
        """A mixture of two versions is of no use to anybody: the gateway may drop it."""
        if self._uploader.url is None:
            return
        with suppress(Transient, ClientError):
            self._terms.gateway.ask("DELETE", self._uploader.url)
        if self._key:
            self._terms.unfinished.forget(self._key, self._uploader.url)
