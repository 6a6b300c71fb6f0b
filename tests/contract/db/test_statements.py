"""Statements that are compiled once say what SQLAlchemy would have said, and give back what it would have given."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, bindparam, event, select, update
from sqlalchemy.exc import IntegrityError

from eft.db import cases
from eft.db import uploads as uploads_of_cases
from eft.db.statements import Inserting, Records, Saving, Statement
from eft.db.tables import attachments, uploads
from eft.domain.attachment import Attachment
from eft.domain.upload import UploadState
from tests.contract.db.samples import NOW, a_case, an_attachment, an_upload, hexes

AWKWARD = '100 % of ünïcode\'s "names" :id %(id)s ? 💥'


@pytest.fixture(autouse=True)
def its_case(conn: Connection) -> None:
    cases.insert(conn, a_case())


def test_a_record_comes_back_as_sqlalchemy_reads_it(conn: Connection) -> None:
    sent = an_attachment(name=AWKWARD, modified_at=NOW, manifest=bytes(range(256)), size=1 << 40, hidden=True)
    Inserting(attachments).run(conn, sent)
    query = select(attachments).where(attachments.c.id == bindparam("id"))

    found = Records(Attachment, query).one(conn, {"id": sent.id})

    row = conn.execute(query, {"id": sent.id}).one()
    assert found == sent == Attachment(**row._mapping)
    assert type(found.hidden) is bool


def test_saving_changes_every_column_of_one_row_and_says_whether_there_was_one(conn: Connection) -> None:
    for number in (1, 2):
        Inserting(uploads).run(conn, an_upload(number))
    changed = an_upload(1, name=AWKWARD, state=UploadState.PUBLISHED, length=7, offset=7, epoch=3, settles_at=NOW, in_draft=True)

    assert Saving(uploads).run(conn, changed)
    assert not Saving(uploads).run(conn, an_upload(3))

    rows = {row.id: row for row in conn.execute(select(uploads))}
    assert {name: getattr(changed, name) for name in rows[changed.id]._mapping} == dict(rows[changed.id]._mapping)
    assert rows[hexes(2)].state is UploadState.RECEIVING


def test_what_a_statement_says_itself_needs_not_be_given_and_rows_are_counted(conn: Connection) -> None:
    for number in (1, 2, 3):
        Inserting(uploads).run(
            conn, an_upload(number, state=UploadState.SETTLING if number < 3 else UploadState.FROZEN, frozen_at=NOW)
        )
    due = Statement(
        update(uploads)
        .where(uploads.c.state == UploadState.SETTLING, uploads.c.case_id == bindparam("its"))
        .values(settles_at=NOW)
    )

    assert due.run(conn, {"its": "C-1"}) == 2
    assert due.run(conn, {"its": "C-2"}) == 0
    assert Statement(select(uploads.c.settles_at).where(uploads.c.id == bindparam("id"))).row(conn, {"id": hexes(1)}) == [NOW]
    with pytest.raises(KeyError):
        due.run(conn, {})


def test_what_the_table_refuses_is_told_as_sqlalchemy_tells_it_without_any_value(conn: Connection) -> None:
    Inserting(uploads).run(conn, an_upload())

    with pytest.raises(IntegrityError) as refused:
        Inserting(uploads).run(conn, an_upload(name="a secret name"))

    assert "a secret name" not in str(refused.value)


def test_files_that_grow_in_number_do_not_make_a_statement_for_each_number(conn: Connection) -> None:
    """The driver keeps 512 statements, and an IN of 500 places takes 115 KiB."""
    said: set[str] = set()
    event.listen(conn.engine, "before_cursor_execute", lambda *given: said.add(given[2]))
    for number in range(1, 41):
        uploads_of_cases.insert(conn, an_upload(number))
        assert len(uploads_of_cases.unfinished(conn, "C-1")) == number
        assert len(uploads_of_cases.some(conn, [hexes(each) for each in range(1, number + 1)])) == number
    lists = {text for text in said if " IN (" in text}
    assert 7 <= len(lists) <= 2 * 7 + 1, "an IN of 1, 2, 4, … 64 places in two questions, and one of the states"
