"""Fetches one attachment: goes on with what an earlier attempt left, and gives it its name only when its digest is right."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import re
import threading
from typing import Any

import requests

from eft.client.clock import MonotonicClock
from eft.client.errors import ClientError, FileChanged, Interrupted, NotVerified, Transient
from eft.client.gateway import Gateway
from eft.client.listing import Attachment
from eft.client.patience import Patience
from eft.client.sending import Watcher

PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attachment and where it goes."""

    attachment: Attachment
    path: Path

    @property
    def name(self) -> str:
        return self.attachment.name


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is there now. `was_there`: it was whole before."""

    path: Path
    size: int
    sha256: str
    was_there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchTerms:
    gateway: Gateway
    stop: threading.Event
    watcher: Watcher
    clock: MonotonicClock
    give_up_after_s: float
    force: bool = False


def fetch(wanted: Wanted, terms: FetchTerms) -> Fetched:
    """Returns when the whole file is at its path, durable and with the right digest. Raises ClientError."""
    path, told = wanted.path, wanted.attachment
    try:
        if path.exists() and not terms.force:
            if path.is_file() and path.stat().st_size == told.size and _digest(path, terms.stop).hexdigest() == told.sha256:
                return Fetched(path, told.size, told.sha256, was_there=True)
            raise ClientError(f"{path} is there already, with other content.", "Move it away, or replace it with --force.")
        path.parent.mkdir(parents=True, exist_ok=True)
        return _Fetching(wanted, terms).run()
    except OSError as error:
        raise ClientError(
            f"{path} cannot be written ({error.strerror}).", "Check the directory and the room on its disk."
        ) from None


class _Fetching:
    def __init__(self, wanted: Wanted, terms: FetchTerms) -> None:
        self._wanted = wanted
        self._told = wanted.attachment
        self._terms = terms
        self._part = wanted.path.with_name(f"{wanted.path.name}.part")
        self._patience = Patience(terms.give_up_after_s, terms.stop, terms.clock)

    def run(self) -> Fetched:
        if self._part.is_symlink():
            raise ClientError(f"{self._part} is a link.", "Remove it.")
        began_with = self._part.stat().st_size if self._part.exists() else 0
        while True:
            try:
                return self._attempt()
            except Transient as failure:
                pause = self._patience.next_pause(failure)
                if pause >= 1:
                    self._terms.watcher.note(self._wanted, f"{failure}; trying again in {pause:.0f} s")
                self._patience.wait(pause)
            except NotVerified:
                self._part.unlink(missing_ok=True)
                if not began_with:
                    raise
                # What an older attempt had left was of another file.
                began_with = 0

    def _attempt(self) -> Fetched:
        told, part = self._told, self._part
        if part.exists() and part.stat().st_size > told.size:
            part.unlink()
        digest = _digest(part, self._terms.stop) if part.exists() else hashlib.sha256()
        have = part.stat().st_size if part.exists() else 0
        self._terms.watcher.at(self._wanted, have, told.size)
        if have < told.size or not part.exists():
            have = self._download(have, digest)
        if digest.hexdigest() != told.sha256 or have != told.size:
            raise NotVerified(f"{self._wanted.path.name} did not arrive as the gateway has it.", "Fetch it again.")
        if self._wanted.path.exists() and not self._terms.force:
            raise FileChanged(f"{self._wanted.path} has come into being meanwhile.", "Move it away, or use --force.")
        os.replace(part, self._wanted.path)
        return Fetched(self._wanted.path, told.size, told.sha256)

    def _download(self, have: int, digest: Any) -> int:
        gateway, etag = self._terms.gateway, f'"sha256-{self._told.sha256}"'
        headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
        answer = gateway.ask("GET", f"{gateway.files}/{self._told.id}", headers, stream=True)
        with answer:
            if have and not _continues(answer, have):
                raise NotVerified("The gateway has another version of the file.", "Fetch it again.")
            flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(self._part, flags, 0o666), "wb") as file:
                file.seek(have)
                have = self._take(answer, file, have, digest)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
        return have

    def _take(self, answer: requests.Response, file: Any, have: int, digest: Any) -> int:
        try:
            for piece in answer.iter_content(PIECE):
                if self._terms.stop.is_set():
                    raise Interrupted("Stopped.")
                file.write(piece)
                digest.update(piece)
                have += len(piece)
                self._patience.progressed()
                self._terms.watcher.at(self._wanted, have, self._told.size)
        except requests.exceptions.RequestException as error:
            raise Transient(f"the connection broke ({type(error).__name__})") from None
        if have < self._told.size:
            raise Transient("the connection ended too early")
        return have


def _continues(answer: requests.Response, have: int) -> bool:
    said = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status_code == 206 and said is not None and int(said[1]) == have


def _digest(path: Path, stop: threading.Event) -> Any:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            if stop.is_set():
                raise Interrupted("Stopped.")
            digest.update(piece)
    return digest
