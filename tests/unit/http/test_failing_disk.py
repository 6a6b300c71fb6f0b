"""A disk that fails under one upload: that upload is told, the others go on, and nothing acknowledged is lost."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from eft.storage.files import RegionFile
from tests.unit.http.tus_site import TusSite

MIB = 1024 * 1024


class FailingDisk:
    """Writes, or syncs, fail with `number` for files that were opened while `armed`, until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, operation: str, number: int) -> None:
        self.broken: set[int] = set()
        self.armed = False
        original = getattr(RegionFile, operation)

        def failing(file: RegionFile, *arguments: object) -> object:
            if self.armed:
                self.broken.add(id(file))
            if id(file) in self.broken:
                raise OSError(number, os.strerror(number))
            return original(file, *arguments)

        monkeypatch.setattr(RegionFile, operation, failing)


@pytest.mark.parametrize(
    ("operation", "number", "status", "code"),
    [
        ("write_at", errno.EIO, 500, "storage-failed"),
        ("sync_data", errno.EIO, 500, "storage-failed"),
        ("write_at", errno.ENOSPC, 507, "storage-full"),
        ("write_at", errno.EDQUOT, 507, "storage-full"),
    ],
)
def test_one_upload_fails_and_is_resumed_while_others_go_on(
    site: TusSite, monkeypatch: pytest.MonkeyPatch, operation: str, number: int, status: int, code: str
) -> None:
    data = os.urandom(3 * MIB)
    doomed, other = site.create(len(data), "doomed.log"), site.create(len(data), "other.log")
    assert site.patch(doomed, 0, data[:MIB]).offset == MIB
    assert site.patch(other, 0, data[:MIB]).offset == MIB

    disk = FailingDisk(monkeypatch, operation, number)
    disk.armed = True
    told = site.patch(doomed, MIB, data[MIB:])
    disk.armed = False
    assert (told.status, told.code) == (status, code)
    assert told.problem["remedy"]

    assert site.patch(other, MIB, data[MIB:]).offset == len(data)
    assert site.stored(other) == data

    offset = site.ask("HEAD", doomed).offset
    assert MIB <= offset <= len(data)
    assert site.patch(doomed, offset, data[offset:]).status == 204
    assert hashlib.sha256(site.stored(doomed)).digest() == hashlib.sha256(data).digest()


def test_what_may_not_be_sent_is_refused_before_its_body_is_asked_for(site: TusSite) -> None:
    path = site.create(10)
    peer = site.begin_patch(path, 5, 5, "Expect: 100-continue")
    answer = peer.answer()
    assert (answer.status, answer.headers["connection"]) == (409, "close")
    peer = site.begin_patch(path, 0, 10, "Expect: 100-continue")
    assert peer.answer().status == 100
    peer.send(b"0123456789")
    assert peer.answer().status == 204
