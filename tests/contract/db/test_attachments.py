"""The repository of attachments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from eft.db import attachments, cases
from eft.domain.attachment import AttachmentState
from eft.domain.errors import NotFound
from eft.domain.upload import Completeness, Source
from tests.contract.db.samples import NOW, SECOND, a_case, an_attachment, hexes


@pytest.fixture(autouse=True)
def _two_cases(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))


def _names(conn: Connection) -> list[tuple[str, int]]:
    return [(attachment.name, attachment.version) for attachment in attachments.visible(conn, "C-1")]


def test_an_attachment_comes_back_as_it_was_stored(conn: Connection) -> None:
    full = an_attachment(
        name="日誌/crash 💥 \u202fx.log", size=2**43, source=Source.SUPPORT, completeness=Completeness.CLOSED,
        state=AttachmentState.TOMBSTONED, version=3, superseded=True, hidden=True, modified_at=NOW, actor="token:crm",
        manifest=None, inline=bytes(range(256)), gone_at=NOW,
    )  # fmt: skip
    attachments.insert(conn, full)
    assert attachments.get(conn, full.id) == full
    assert attachments.get(conn, hexes(2)) is None


def test_what_is_listed_has_neither_its_bytes_nor_its_manifest(conn: Connection) -> None:
    """Ten thousand small files would be in memory at once for one `ls`."""
    small, large = an_attachment(1, manifest=None, inline=bytes(4096)), an_attachment(2, manifest=bytes(700))
    for each in (small, large):
        attachments.insert(conn, each)
    listed = {found.id: found for found in attachments.visible(conn, "C-1")}
    assert listed == {each.id: replace(each, manifest=None, inline=None) for each in (small, large)}


@pytest.mark.parametrize(
    "wrong",
    [an_attachment(size=-1), an_attachment(version=0), an_attachment(inline=b"x"), an_attachment(case_id="C-9")],
    ids=["size", "version", "two bodies", "case"],
)
def test_the_table_refuses_what_cannot_be(conn: Connection, wrong: object) -> None:
    with pytest.raises(IntegrityError):
        attachments.insert(conn, wrong)  # type: ignore[arg-type]


def test_pages_are_newest_first_of_one_case_and_stable_while_files_come_in(conn: Connection) -> None:
    for number in range(1, 8):
        attachments.insert(conn, an_attachment(number, received_at=NOW + (number // 3) * SECOND))
    attachments.insert(conn, an_attachment(20, case_id="C-2"))
    found, cursor = attachments.page(conn, "C-1", None, 3)
    attachments.insert(conn, an_attachment(30, received_at=NOW + 60 * SECOND))
    seen = list(found)
    while cursor is not None:
        found, cursor = attachments.page(conn, "C-1", cursor, 3)
        seen += found
    assert [attachment.id for attachment in seen] == [hexes(number) for number in range(7, 0, -1)]
    assert attachments.of_case(conn, "C-1")[1:] == seen


def test_the_directory_shows_of_each_name_the_newest_that_is_there(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(1, name="b", superseded=True))
    attachments.insert(conn, an_attachment(2, name="b", version=2))
    attachments.insert(conn, an_attachment(3, name="a"))
    attachments.insert(conn, an_attachment(4, name="hidden", hidden=True))
    attachments.insert(conn, an_attachment(5, name="gone", state=AttachmentState.TOMBSTONED))
    attachments.insert(conn, an_attachment(6, name="c", case_id="C-2"))
    assert _names(conn) == [("a", 1), ("b", 2)]


def test_newest_by_name_is_the_latest_version_even_if_hidden(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(1, name="a", version=2, hidden=True))
    attachments.insert(conn, an_attachment(2, name="a", version=1))
    found = attachments.newest_by_name(conn, "C-1", "a")
    assert found is not None
    assert found.id == hexes(1)
    assert attachments.newest_by_name(conn, "C-1", "A") is None
    assert attachments.newest_by_name(conn, "C-2", "a") is None


def test_what_support_and_the_client_sent_by_one_name_are_kept_apart(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(1, name="a", source=Source.SUPPORT))
    attachments.insert(conn, an_attachment(2, name="a", source=Source.SFTP, version=2))
    ours = attachments.newest_by_name(conn, "C-1", "a", from_support=True)
    theirs = attachments.newest_by_name(conn, "C-1", "a", from_support=False)
    assert ours is not None
    assert theirs is not None
    assert (ours.id, theirs.id) == (hexes(1), hexes(2))
    attachments.supersede(conn, "C-1", "a", from_support=False)
    assert _names(conn) == [("a", 1)]


def test_a_superseded_file_leaves_the_directory(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(1, name="a"))
    attachments.insert(conn, an_attachment(2, name="b"))
    attachments.supersede(conn, "C-1", "a")
    assert _names(conn) == [("b", 1)]


def test_a_hidden_file_leaves_the_directory_and_stays_in_the_list(conn: Connection) -> None:
    attachments.insert(conn, an_attachment())
    attachments.hide(conn, hexes(1))
    assert _names(conn) == []
    assert attachments.page(conn, "C-1", None, 10)[0] == [an_attachment(hidden=True)]


def test_a_renamed_file_becomes_the_next_version_of_its_new_name(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(1, name="a"))
    attachments.insert(conn, an_attachment(2, name="b", version=4, superseded=True))
    assert attachments.next_version(conn, "C-1", "b") == 5
    assert attachments.rename(conn, hexes(1), "b") == 5
    assert _names(conn) == [("b", 5)]
    assert attachments.next_version(conn, "C-1", "c") == 1


def test_the_time_that_a_client_sets_is_kept(conn: Connection) -> None:
    attachments.insert(conn, an_attachment())
    attachments.set_modified(conn, hexes(1), NOW)
    assert attachments.get(conn, hexes(1)) == an_attachment(modified_at=NOW)


def test_a_tombstoned_file_has_nothing_to_read_and_keeps_the_instant(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(1, manifest=None, inline=b"sealed"))
    attachments.set_state(conn, hexes(1), AttachmentState.TOMBSTONED, NOW)
    gone = replace(an_attachment(), manifest=None, state=AttachmentState.TOMBSTONED, gone_at=NOW)
    assert attachments.get(conn, hexes(1)) == gone
    attachments.set_state(conn, hexes(1), AttachmentState.TOMBSTONED, NOW + SECOND)
    attachments.set_state(conn, hexes(1), AttachmentState.PURGED, NOW + SECOND)
    assert attachments.get(conn, hexes(1)) == replace(gone, state=AttachmentState.PURGED)


def test_a_purged_file_does_not_come_back(conn: Connection) -> None:
    attachments.insert(conn, an_attachment(state=AttachmentState.PURGED))
    with pytest.raises(ValueError):
        attachments.set_state(conn, hexes(1), AttachmentState.AVAILABLE, NOW)


def test_changing_an_unknown_attachment_is_not_found(conn: Connection) -> None:
    for change in (
        lambda: attachments.hide(conn, hexes(1)),
        lambda: attachments.rename(conn, hexes(1), "a"),
        lambda: attachments.set_modified(conn, hexes(1), NOW),
        lambda: attachments.set_state(conn, hexes(1), AttachmentState.PURGED, NOW),
    ):
        with pytest.raises(NotFound):
            change()
