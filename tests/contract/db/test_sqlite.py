"""What is SQLite's own: many units in one commit, processes that take turns, a file that fills up or breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
import shutil
import sqlite3
import threading

import pytest
import pytest_asyncio
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from eft.db import cases, uploads
from eft.db import sqlite as adapter
from eft.db.engine import Database
from eft.domain.errors import Busy, NotFound, StorageFailed, StorageFull, UnsafeSetting
from eft.domain.upload import Source, UploadState
from tests.contract.db.samples import a_case, an_upload


@pytest.fixture
def path(migrated_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_file, tmp_path / "eft.db"))


@pytest_asyncio.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{path}")
    await opened.open()
    yield opened
    await opened.close()


async def _found(database: Database) -> set[str]:
    return {case.id for case in (await database.read(lambda conn: cases.page(conn, None, 1000)))[0]}


async def _while_the_writer_waits(database: Database, *works: object) -> list[object]:
    """How each of these ended, after all of them were waiting at the same time."""
    go_on = threading.Event()
    first = asyncio.ensure_future(database.write(lambda conn: go_on.wait(10)))
    await asyncio.sleep(0.05)
    rest = [asyncio.ensure_future(database.write(work)) for work in works]  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    go_on.set()
    await first
    return list(await asyncio.gather(*rest, return_exceptions=True))


async def test_what_waits_is_committed_in_one_go(database: Database) -> None:
    before = database.commits
    await _while_the_writer_waits(database, *[lambda conn, n=n: cases.insert(conn, a_case(n)) for n in range(150)])
    assert database.commits - before == 2
    assert len(await _found(database)) == 150


async def test_a_commit_has_a_bounded_number_of_units(database: Database) -> None:
    before = database.commits
    await _while_the_writer_waits(database, *[lambda conn, n=n: cases.insert(conn, a_case(n)) for n in range(450)])
    assert database.commits - before == 1 + 3


async def test_a_failing_unit_harms_no_other_of_its_commit(database: Database) -> None:
    def fails(conn: Connection) -> None:
        cases.insert(conn, a_case(2))
        raise NotFound

    ended = await _while_the_writer_waits(
        database,
        lambda conn: cases.insert(conn, a_case(1)),
        fails,
        lambda conn: uploads.insert(conn, an_upload(case_id="nobody")),
        lambda conn: cases.insert(conn, a_case(3)),
    )
    assert [type(each) for each in ended] == [type(None), NotFound, IntegrityError, type(None)]
    assert await _found(database) == {"C-1", "C-3"}


async def test_a_commit_that_fails_fails_every_unit_of_it_and_the_next_goes_well(database: Database) -> None:
    def breaks_the_commit(conn: Connection) -> None:
        conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        uploads.insert(conn, an_upload(case_id="nobody"))

    ended = await _while_the_writer_waits(
        database, lambda conn: cases.insert(conn, a_case(1)), breaks_the_commit, lambda conn: cases.insert(conn, a_case(2))
    )
    assert all(isinstance(each, sqlite3.IntegrityError) for each in ended)
    assert await _found(database) == set()
    await database.write(lambda conn: cases.insert(conn, a_case(3)))
    assert await _found(database) == {"C-3"}


async def test_a_unit_that_ends_the_transaction_is_found_out(database: Database) -> None:
    def ends_it(conn: Connection) -> None:
        cases.insert(conn, a_case(1))
        conn.commit()

    with pytest.raises(sqlite3.OperationalError):
        await database.write(ends_it)
    await database.write(lambda conn: cases.insert(conn, a_case(2)))


async def test_a_full_disk_is_storage_full_and_what_was_stored_stays(database: Database) -> None:
    await database.write(lambda conn: cases.insert(conn, a_case(1)))
    pages = await database.write(lambda conn: conn.exec_driver_sql("PRAGMA page_count").scalar_one())
    await database.write(lambda conn: conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}").scalar_one())
    with pytest.raises(StorageFull) as caught:
        await database.write(lambda conn: cases.insert(conn, a_case(2, comment="x" * 100_000)))
    assert caught.value.__cause__ is not None
    assert await _found(database) == {"C-1"}


async def test_after_a_full_disk_it_goes_on(database: Database) -> None:
    await database.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count=1").scalar_one())
    with pytest.raises(StorageFull):
        await database.write(lambda conn: cases.insert(conn, a_case(1, comment="x" * 100_000)))
    await database.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count=1000000").scalar_one())
    await database.write(lambda conn: cases.insert(conn, a_case(2, comment="x" * 100_000)))
    assert await _found(database) == {"C-2"}


async def test_a_broken_file_is_storage_failed(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageFailed):
        await Database(f"sqlite:///{path}").open()


async def test_a_directory_that_is_not_there_is_storage_failed(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        await asyncio.to_thread(Database(f"sqlite:///{tmp_path}/missing/eft.db").upgrade)


async def test_a_lock_that_cannot_be_had_is_busy_and_reads_go_on(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "WRITER_LOCK_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        await database.write(lambda conn: cases.insert(conn, a_case(1)))
    assert await _found(database) == set()
    other.execute("ROLLBACK")
    other.close()
    await database.write(lambda conn: cases.insert(conn, a_case(2)))
    assert await _found(database) == {"C-2"}


async def test_a_lock_that_comes_free_in_time_is_waited_for(database: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(database.write(lambda conn: cases.insert(conn, a_case(1))))
    await asyncio.sleep(0.2)
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    await writing


async def test_two_busy_databases_of_one_file_take_turns(path: Path) -> None:
    """Neither waits for seconds while the other writes without a pause."""
    pair = [Database(f"sqlite:///{path}") for _ in range(2)]
    for database in pair:
        await database.open()
    written = [0, 0]
    loop = asyncio.get_running_loop()
    until = loop.time() + 2.0
    longest = 0.0

    numbers = count()

    async def keep_writing(which: int) -> None:
        nonlocal longest
        while loop.time() < until:
            began = loop.time()
            await pair[which].write(lambda conn: cases.insert(conn, a_case(next(numbers))))
            written[which] += 1
            longest = max(longest, loop.time() - began)

    await asyncio.gather(*[keep_writing(which) for which in (0, 1) for _ in range(4)])
    for database in pair:
        await database.close()
    assert min(written) > max(written) / 4
    assert longest < 1.0


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1), ("temp_store", 2)],
)
async def test_every_connection_is_set_up_for_durability(database: Database, pragma: str, value: object) -> None:
    for run in (database.read, database.write):
        assert await run(lambda conn: conn.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()) == value


async def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/eft.db")
    await asyncio.to_thread(database.upgrade)
    await database.open()
    await database.write(lambda conn: cases.insert(conn, a_case()))
    assert {file.name for file in tmp_path.iterdir()} == {"eft.db", "eft.db-wal", "eft.db-shm", "eft.db-turn"}
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    await database.close()


async def test_a_file_system_without_shared_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cursor:
        def fetchone(self) -> tuple[str]:
            return ("delete",)

    class Elsewhere:
        def execute(self, statement: str) -> Cursor:
            return Cursor()

    with pytest.raises(UnsafeSetting, match="write-ahead log"):
        adapter._prepare(Elsewhere(), None)  # type: ignore[arg-type]


async def test_a_name_is_looked_up_in_as_many_steps_however_many_other_files_are_unfinished(database: Database) -> None:
    def steps(conn: Connection) -> int:
        driver = conn.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        counted: list[None] = []
        driver.set_progress_handler(lambda: counted.append(None), 1)
        assert uploads.by_name(conn, "C-1", "b", Source.SFTP) is None
        driver.set_progress_handler(None, 0)
        return len(counted)

    def insert(conn: Connection, numbers: range) -> None:
        for number in numbers:
            uploads.insert(conn, an_upload(number, name=f"a{number}", state=UploadState.SETTLING, source=Source.SFTP))

    await database.write(lambda conn: cases.insert(conn, a_case()))
    await database.write(lambda conn: insert(conn, range(1)))
    of_one = await database.read(steps)
    await database.write(lambda conn: insert(conn, range(1, 100)))
    assert await database.read(steps) == of_one
