"""The repository of uploads and their segments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from eft.db import attachments, cases, uploads
from eft.domain.attachment import AttachmentState
from eft.domain.case import CaseStatus, PurgeState
from eft.domain.errors import NotFound
from eft.domain.upload import Source, UploadState
from tests.contract.db.samples import (
    MICROSECOND,
    NOW,
    SECOND,
    a_case,
    a_closed_case,
    a_segment,
    an_attachment,
    an_upload,
    hexes,
)

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _two_cases(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))


def _state(conn: Connection, number: int) -> UploadState:
    found = uploads.get(conn, hexes(number))
    assert found is not None
    return found.state


def test_an_upload_comes_back_as_it_was_stored_with_its_segments_in_order(conn: Connection) -> None:
    full = an_upload(
        source=Source.SFTP, state=UploadState.FROZEN, length=2**40, offset=2**40 - 1, epoch=3, holder="worker-1",
        metadata="filename bG9n", declared_sha256="ab" * 32, sha256="cd" * 32, actor="sftp:eft_us_x", settles_at=NOW,
        frozen_at=NOW + MICROSECOND, ended="terminated", modified_at=NOW, inline=b"\0sealed",
        segments=(
            a_segment(epoch=3, start=9), a_segment(epoch=1, end=5), a_segment(epoch=2, start=5, end=9, file_upload_id=hexes(8)),
        ),
    )  # fmt: skip
    uploads.insert(conn, full)
    expected = replace(full, segments=(full.segments[1], full.segments[2], full.segments[0]))
    assert uploads.get(conn, full.id) == expected
    assert uploads.lock(conn, full.id) == expected
    assert uploads.of_case(conn, "C-1") == [expected]
    assert uploads.segments(conn, full.id) == list(expected.segments)


def test_an_unknown_upload_is_none(conn: Connection) -> None:
    assert uploads.get(conn, hexes(1)) is None
    assert uploads.lock(conn, hexes(1)) is None
    assert uploads.fence(conn, hexes(1)) is None


def test_save_changes_every_field_but_the_segments(conn: Connection) -> None:
    uploads.insert(conn, an_upload(segments=(a_segment(),)))
    changed = an_upload(
        name="b", state=UploadState.SETTLING, length=0, offset=7, epoch=1, holder="w", settles_at=NOW, segments=()
    )
    uploads.save(conn, changed)
    assert uploads.get(conn, changed.id) == replace(changed, segments=(a_segment(),))


def test_save_of_an_unknown_upload_is_not_found(conn: Connection) -> None:
    with pytest.raises(NotFound):
        uploads.save(conn, an_upload())


@pytest.mark.parametrize(
    "wrong",
    [
        an_upload(offset=-1),
        an_upload(length=-1),
        an_upload(epoch=-1),
        an_upload(state=UploadState.FROZEN),
        an_upload(case_id="C-9"),
    ],
    ids=["offset", "length", "epoch", "frozen without a time", "case"],
)
def test_the_table_refuses_what_cannot_be(conn: Connection, wrong: object) -> None:
    with pytest.raises(IntegrityError):
        uploads.insert(conn, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [a_segment(start=-1), a_segment(start=5, end=4), a_segment(upload=9)])
def test_the_table_refuses_a_segment_that_cannot_be(conn: Connection, wrong: object) -> None:
    uploads.insert(conn, an_upload())
    with pytest.raises(IntegrityError):
        uploads.add_segment(conn, wrong)  # type: ignore[arg-type]


def test_an_epoch_has_one_segment(conn: Connection) -> None:
    uploads.insert(conn, an_upload(segments=(a_segment(),)))
    with pytest.raises(IntegrityError):
        uploads.add_segment(conn, a_segment(start=7))


def test_the_fence_tells_epoch_and_states(conn: Connection) -> None:
    uploads.insert(conn, an_upload(epoch=4))
    expected = uploads.Fence(4, UploadState.RECEIVING, CaseStatus.OPEN, PurgeState.NONE)
    assert uploads.fence(conn, hexes(1)) == expected
    cases.save(conn, a_closed_case(purge=PurgeState.PURGING))
    assert uploads.fence(conn, hexes(1)) == replace(expected, case_status=CaseStatus.CLOSED, case_purge=PurgeState.PURGING)


def test_a_segment_ends_once(conn: Connection) -> None:
    uploads.insert(conn, an_upload(segments=(a_segment(),)))
    assert uploads.end_segment(conn, hexes(1), 1, 10) is True
    assert uploads.end_segment(conn, hexes(1), 1, 20) is False
    assert uploads.end_segment(conn, hexes(1), 2, 20) is False
    assert uploads.segments(conn, hexes(1)) == [a_segment(end=10)]


def test_a_dropped_segment_is_gone(conn: Connection) -> None:
    uploads.insert(conn, an_upload(segments=(a_segment(epoch=1, end=1), a_segment(epoch=2, start=1))))
    uploads.drop_segment(conn, hexes(1), 2)
    uploads.drop_segment(conn, hexes(1), 2)
    assert uploads.segments(conn, hexes(1)) == [a_segment(epoch=1, end=1)]


def test_a_file_counts_every_segment_that_lies_in_it(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, segments=(a_segment(1, end=5),)))
    uploads.insert(conn, an_upload(2, segments=(a_segment(2, end=5, file_upload_id=hexes(1)),)))
    assert uploads.file_references(conn, hexes(1), 1) == 2
    uploads.drop_segment(conn, hexes(1), 1)
    assert uploads.file_references(conn, hexes(1), 1) == 1
    assert uploads.file_references(conn, hexes(1), 2) == 0


def test_live_held_names_uploads_with_an_open_segment_once(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, holder="w1", segments=(a_segment(1, 1), a_segment(1, 2))))
    uploads.insert(conn, an_upload(2, holder="w2", segments=(a_segment(2, 1, end=5),)))
    uploads.insert(conn, an_upload(3, segments=(a_segment(3, 1),)))
    assert uploads.live_held(conn) == [(hexes(1), "w1"), (hexes(3), None)]


def test_discardable_are_expired_and_deleted_ones_that_still_have_segments(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, state=UploadState.EXPIRED, segments=(a_segment(1, end=5),)))
    uploads.insert(conn, an_upload(2, state=UploadState.EXPIRED))
    uploads.insert(conn, an_upload(3, segments=(a_segment(3),)))
    for number, state in ((4, AttachmentState.AVAILABLE), (5, AttachmentState.TOMBSTONED)):
        uploads.insert(conn, an_upload(number, state=UploadState.PUBLISHED, segments=(a_segment(number, end=5),)))
        attachments.insert(conn, an_attachment(number, state=state))
    assert sorted(uploads.discardable(conn)) == [hexes(1), hexes(5)]
    cases.save(conn, a_closed_case(purge=PurgeState.PURGING))
    assert uploads.discardable(conn) == []


def test_unfinished_are_newest_first_and_of_one_case(conn: Connection) -> None:
    for number, state in enumerate(UploadState):
        uploads.insert(conn, an_upload(number, state=state, frozen_at=NOW))
    uploads.insert(conn, an_upload(50, case_id="C-2"))
    found = uploads.unfinished(conn, "C-1")
    assert [upload.state for upload in found] == ["refused", "frozen", "sealed", "settling", "receiving"]
    assert len(uploads.of_case(conn, "C-1")) == len(UploadState)


def test_by_name_finds_the_newest_unfinished_one_that_came_that_way(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, name="a"))
    uploads.insert(conn, an_upload(2, name="a", segments=(a_segment(2),)))
    uploads.insert(conn, an_upload(3, name="a", state=UploadState.PUBLISHED))
    uploads.insert(conn, an_upload(4, name="A"))
    uploads.insert(conn, an_upload(5, name="a", source=Source.SFTP))
    uploads.insert(conn, an_upload(6, name="a", case_id="C-2"))
    found = uploads.by_name(conn, "C-1", "a", Source.HTTPS)
    assert found == an_upload(2, name="a", segments=(a_segment(2),))
    assert uploads.by_name(conn, "C-1", "b", Source.HTTPS) is None


def test_settling_is_due_at_its_instant(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, state=UploadState.SETTLING, settles_at=NOW))
    uploads.insert(conn, an_upload(2, state=UploadState.SETTLING, settles_at=NOW - SECOND))
    uploads.insert(conn, an_upload(3, state=UploadState.SETTLING, settles_at=NOW + MICROSECOND))
    uploads.insert(conn, an_upload(4, state=UploadState.RECEIVING, settles_at=NOW))
    uploads.insert(conn, an_upload(5, state=UploadState.SETTLING))
    assert [upload.id for upload in uploads.settling_due(conn, NOW)] == [hexes(2), hexes(1)]


def test_expiring_are_those_whose_clock_runs(conn: Connection) -> None:
    for number, state in enumerate(UploadState):
        uploads.insert(conn, an_upload(number, name=state, state=state, frozen_at=NOW, expires_at=NOW))
    uploads.insert(conn, an_upload(50, name="settles", state=UploadState.SETTLING, settles_at=NOW, expires_at=NOW))
    uploads.insert(conn, an_upload(51, name="later", expires_at=NOW + MICROSECOND))
    assert {upload.name for upload in uploads.expiring(conn, NOW)} == {"receiving", "refused", "settling"}


def test_lists_of_what_is_due_are_bounded(conn: Connection) -> None:
    for number in range(5):
        uploads.insert(conn, an_upload(number, expires_at=NOW))
    assert len(uploads.expiring(conn, NOW, limit=3)) == 3


def test_closing_freezes_what_is_received_and_settles_what_was_closed(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1))
    uploads.insert(conn, an_upload(2, state=UploadState.REFUSED))
    uploads.insert(conn, an_upload(3, state=UploadState.SETTLING, settles_at=NOW + DAY))
    uploads.insert(conn, an_upload(4, state=UploadState.SETTLING))
    uploads.insert(conn, an_upload(5, state=UploadState.SEALED))
    uploads.insert(conn, an_upload(6, case_id="C-2"))
    uploads.freeze_case(conn, "C-1", NOW)
    states = {number: _state(conn, number) for number in range(1, 7)}
    assert states == {1: "frozen", 2: "frozen", 3: "settling", 4: "frozen", 5: "sealed", 6: "receiving"}
    assert uploads.get(conn, hexes(3)) == an_upload(3, state=UploadState.SETTLING, settles_at=NOW)
    assert uploads.get(conn, hexes(1)) == an_upload(1, state=UploadState.FROZEN, frozen_at=NOW)


def test_a_thawed_upload_expires_as_much_later_as_it_was_frozen(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, expires_at=NOW + DAY))
    uploads.insert(conn, an_upload(2, case_id="C-2"))
    uploads.freeze_case(conn, "C-1", NOW)
    uploads.freeze_case(conn, "C-2", NOW)
    uploads.thaw_case(conn, "C-1", NOW + 20 * DAY)
    assert uploads.get(conn, hexes(1)) == an_upload(1, expires_at=NOW + 21 * DAY)
    assert _state(conn, 2) is UploadState.FROZEN
