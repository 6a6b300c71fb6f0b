"""Which names of a directory are taken."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from eft.db import attachments, cases, directories, names, uploads
from eft.domain.upload import UploadState
from tests.contract.db.samples import NOW, a_case, an_attachment, an_upload


@pytest.fixture(autouse=True)
def _two_cases(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))


def test_every_name_that_anything_has_is_taken_and_no_other(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, name="d/upload"))
    uploads.insert(conn, an_upload(2, name="d/gone", state=UploadState.EXPIRED))
    uploads.insert(conn, an_upload(3, name="d/below/deep/file"))
    uploads.insert(conn, an_upload(4, name="dd/other"))
    uploads.insert(conn, an_upload(5, name="d/of another case", case_id="C-2"))
    attachments.insert(conn, an_attachment(6, name="d/\U0010ffff end"))
    directories.make(conn, "C-1", "d", NOW, "sftp:x")
    directories.make(conn, "C-1", "d/made", NOW, "sftp:x")
    attachments.insert(conn, an_attachment(7, name="\U0010ffff\U0010ffff"))
    assert names.taken(conn, "C-1", "d", 10) == {"upload", "gone", "below", "\U0010ffff end", "made"}
    assert names.taken(conn, "C-1", "", 10) == {"d", "dd", "\U0010ffff\U0010ffff"}
    assert names.taken(conn, "C-1", "d/below", 10) == {"deep"}
    assert names.taken(conn, "C-1", "none", 10) == set()


def test_of_too_many_names_none_is_told(conn: Connection) -> None:
    for number in range(4):
        uploads.insert(conn, an_upload(number, name=f"d/{number}"))
    assert names.taken(conn, "C-1", "d", 4) == {"0", "1", "2", "3"}
    assert names.taken(conn, "C-1", "d", 3) is None


def test_of_a_few_names_those_that_a_file_has_are_told(conn: Connection) -> None:
    uploads.insert(conn, an_upload(1, name="a"))
    uploads.insert(conn, an_upload(2, name="b", state=UploadState.PUBLISHED))
    attachments.insert(conn, an_attachment(3, name="c", hidden=True))
    uploads.insert(conn, an_upload(4, name="d", case_id="C-2"))
    assert names.had(conn, "C-1", {"a", "b", "c", "d", "e"}) == {"a", "b", "c"}
    assert names.had(conn, "C-1", set()) == set()
