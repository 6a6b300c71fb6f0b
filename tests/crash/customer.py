"""A customer who sends files by either door and remembers what the gateway said: the model that every crash is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
import random

from eft.domain.actor import Actor
from eft.domain.upload import Completeness, Source
from eft.transfers import Intent, Reception
from tests.crash.machine import CASE, SETTLE_S, Site, Worker

WHO = Actor("test:customer", "192.0.2.1")
PIECE = 40_000
"""Bytes offered in one go, as a socket gives them."""


@dataclass
class Sent:
    """One file, and what the gateway said of it.

    `acknowledged`: bytes that the customer was told are safe. `closes`: the sizes at which an SFTP client sent CLOSE, answered or
    not; `closed`: the size at the last one that was answered, until more is written. `final_name`: what a file with a temporary
    name is renamed to. `received`: told that the file is whole. `ending`, `ended`: asked for its end, told of it.
    """

    name: str
    content: bytes
    source: Source
    upload_id: str = ""
    registered: bool = False
    acknowledged: int = 0
    closes: list[int] = field(default_factory=list)
    closed: int | None = None
    final_name: str = ""
    replaced: bool = False
    received: bool = False
    refused: bool = False
    ending: bool = False
    ended: bool = False

    def may_be_whole(self) -> set[bytes]:
        """What staff may see as a finished file of its final name."""
        if self.refused:
            return set()
        return {self.content} if self.source is not Source.SFTP else {self.content[:size] for size in self.closes}

    def told(self, offset: int) -> None:
        self.acknowledged = max(self.acknowledged, offset)


@dataclass
class Customer:
    """All files of one customer, and what was asked for the whole case. `sealed_key`: the case's key as it lies in its slot."""

    files: list[Sent] = field(default_factory=list)
    closing: bool = False
    purging: bool = False
    sealed_key: bytes = b""
    purged: bool = False

    def has(self, name: str, size: int, source: Source = Source.HTTPS) -> Sent:
        """A file on the customer's disk, unlike any other."""
        sent = Sent(name, random.Random(f"{name} {len(self.files)}").randbytes(size), source)
        self.files.append(sent)
        return sent

    def may_be_whole(self, name: str) -> set[bytes]:
        return set().union(*(sent.may_be_whole() for sent in self.files if (sent.final_name or sent.name) == name))


# tus, and the control API.


async def register(site: Site, sent: Sent) -> None:
    """POST: the place is told."""
    intent = Intent(name=sent.name, source=sent.source, actor=WHO, length=len(sent.content))
    sent.upload_id = (await site.transfers.register(CASE, intent)).id
    sent.registered = True


async def offer(reception: Reception, data: bytes) -> None:
    for at in range(0, len(data), PIECE):
        reception.offer(data[at : at + PIECE])
        if reception.full:
            await reception.ready()


async def patch(worker: Worker, sent: Sent, stop: int) -> None:
    """PATCH with the bytes from where the upload stands to `stop`."""
    reception = await worker.transfers.take(sent.upload_id, case_id=CASE)
    try:
        sent.told(reception.durable)
        await offer(reception, sent.content[reception.offset : stop])
        if stop == len(sent.content):
            await reception.finish(Completeness.DECLARED)
            sent.received = True
        else:
            sent.told(await reception.commit())
    finally:
        await reception.release()


async def post_whole(worker: Worker, sent: Sent) -> None:
    """POST with the whole body."""
    intent = Intent(name=sent.name, source=sent.source, actor=WHO, length=len(sent.content))
    reception = await worker.transfers.begin(CASE, intent)
    sent.upload_id = reception.upload_id
    try:
        await offer(reception, sent.content)
        await reception.finish(Completeness.DECLARED)
        sent.received = True
    finally:
        await reception.release()


# SFTP.


async def open_file(worker: Worker, sent: Sent, *, anew: bool) -> Reception:
    """OPEN for writing, with TRUNC or to go on."""
    reception = worker.files.open_new(CASE, sent.name, WHO) if anew else None
    if reception is None:
        reception = await worker.files.open_write(CASE, sent.name, WHO, create=True, truncate=anew, exclusive=False)
    sent.upload_id = reception.upload_id
    return reception


async def write(reception: Reception, sent: Sent, stop: int | None = None) -> None:
    """WRITE of what is missing up to `stop`."""
    missing = sent.content[reception.offset : stop]
    if missing:
        sent.closed = None
    await offer(reception, missing)


async def close_file(reception: Reception, sent: Sent) -> None:
    """CLOSE, with what was written."""
    size = reception.size
    sent.closes.append(size)
    await reception.settle(SETTLE_S if not sent.final_name else None)
    sent.told(size)
    if not sent.final_name:
        sent.closed = size


async def put_file(worker: Worker, sent: Sent, stop: int | None = None, *, anew: bool = True) -> None:
    """`put`, or `reput`: OPEN, WRITE up to `stop`, CLOSE. Where it fails, the connection is cut."""
    reception = await open_file(worker, sent, anew=anew)
    try:
        await write(reception, sent, stop)
        await close_file(reception, sent)
    finally:
        await reception.release()


async def rename_file(worker: Worker, sent: Sent) -> None:
    """RENAME of a temporary name to the final one, whatever has that."""
    await worker.files.rename(CASE, sent.name, sent.final_name, WHO, replace=True)
    sent.name, sent.final_name, sent.closed = sent.final_name, "", len(sent.content)
