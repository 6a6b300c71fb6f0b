"""What `Database` promises of any work, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
import subprocess
import sys
import threading

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from eft.db import cases, leases, uploads
from eft.db.engine import Database
from eft.domain.errors import NotFound, UnsafeSetting
from tests.contract.db.samples import NOW, a_case, a_segment, an_upload

ROOT = Path(__file__).parents[3]
WRITER = (sys.executable, "-m", "tests.contract.db.writer")


async def test_what_was_written_is_read_back(database: Database) -> None:
    await database.write(lambda conn: cases.insert(conn, a_case()))
    assert await database.read(lambda conn: cases.get(conn, "C-1")) == a_case()


async def test_the_result_of_the_work_is_returned(database: Database) -> None:
    assert await database.write(lambda conn: 42) == 42
    assert await database.read(lambda conn: "x", snapshot=False) == "x"


async def test_failing_work_stores_nothing_and_its_error_reaches_the_caller(database: Database) -> None:
    def work(conn: Connection) -> None:
        cases.insert(conn, a_case())
        raise NotFound

    with pytest.raises(NotFound):
        await database.write(work)
    assert await database.read(lambda conn: cases.get(conn, "C-1")) is None


async def test_a_broken_constraint_is_the_callers_error(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(lambda conn: uploads.insert(conn, an_upload(case_id="nobody")))


async def test_errors_show_no_value_of_a_row(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        await database.write(lambda conn: uploads.insert(conn, an_upload(case_id="nobody", name="payroll.txt")))
    assert "payroll" not in str(caught.value)


async def test_stop_iteration_does_not_leave_the_caller_waiting(database: Database) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(database.read(lambda conn: next(iter(()))), 5)


async def test_a_read_sees_one_snapshot(database: Database) -> None:
    await database.write(lambda conn: cases.insert(conn, a_case()))
    read_once, written = threading.Event(), threading.Event()

    def work(conn: Connection) -> tuple[int, int]:
        first = len(cases.page(conn, None, 10)[0])
        read_once.set()
        assert written.wait(10)
        return first, len(cases.page(conn, None, 10)[0])

    reading = asyncio.ensure_future(database.read(work))
    await asyncio.to_thread(read_once.wait, 10)
    await database.write(lambda conn: cases.insert(conn, a_case(2)))
    written.set()
    assert await reading == (1, 1)
    assert len((await database.read(lambda conn: cases.page(conn, None, 10)))[0]) == 2


@pytest.mark.parametrize("snapshot", [True, False])
async def test_a_read_sees_everything_written_before_it(database: Database, snapshot: bool) -> None:
    await database.write(lambda conn: cases.insert(conn, a_case()))
    await database.write(lambda conn: uploads.insert(conn, an_upload()))
    for epoch in range(1, 50):
        await database.write(lambda conn, epoch=epoch: uploads.save(conn, an_upload(epoch=epoch)))
        fence = await database.read(lambda conn: uploads.fence(conn, an_upload().id), snapshot=snapshot)
        assert fence is not None
        assert fence.epoch == epoch


async def test_cancelled_work_runs_to_its_end(database: Database) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work(conn: Connection) -> None:
        cases.insert(conn, a_case())
        started.set()
        assert go_on.wait(10)

    writing = asyncio.ensure_future(database.write(work))
    await asyncio.to_thread(started.wait, 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go_on.set()
    await database.write(lambda conn: cases.lock(conn, "C-1"))
    for _ in range(100):
        if await database.read(lambda conn: cases.get(conn, "C-1")):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the cancelled work was not committed")


async def test_work_that_was_begun_is_done_before_close_returns(url: str) -> None:
    database = Database(url)
    await database.open()
    writing = [asyncio.ensure_future(database.write(lambda conn, n=n: cases.insert(conn, a_case(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writing)
    again = Database(url)
    await again.open()
    assert len((await again.read(lambda conn: cases.page(conn, None, 100)))[0]) == 50
    await again.close()


async def test_a_closed_database_says_so(url: str) -> None:
    database = Database(url)
    with pytest.raises(RuntimeError, match="not open"):
        await database.read(lambda conn: None)
    await database.open()
    await database.close()
    await database.close()
    with pytest.raises(RuntimeError, match="not open"):
        await database.write(lambda conn: None)


async def test_of_many_that_insert_the_same_case_one_does(database: Database) -> None:
    outcomes = await asyncio.gather(
        *[database.write(lambda conn: cases.insert(conn, a_case())) for _ in range(20)], return_exceptions=True
    )
    assert outcomes.count(None) == 1
    assert {getattr(outcome, "code", None) for outcome in outcomes} == {None, "already-exists"}


async def test_of_many_that_ask_for_a_lease_one_gets_it(database: Database) -> None:
    taken = await asyncio.gather(
        *[database.write(lambda conn, n=n: leases.acquire(conn, "jobs", f"worker-{n}", NOW, 10)) for n in range(20)]
    )
    assert taken.count(True) == 1


async def test_a_locked_row_is_changed_by_one_at_a_time(database: Database) -> None:
    await database.write(lambda conn: cases.insert(conn, a_case()))
    await database.write(lambda conn: uploads.insert(conn, an_upload()))

    def take(conn: Connection) -> int:
        upload = uploads.lock(conn, an_upload().id)
        assert upload is not None
        uploads.save(conn, an_upload(epoch=upload.epoch + 1))
        uploads.add_segment(conn, a_segment(epoch=upload.epoch + 1))
        return upload.epoch + 1

    epochs = await asyncio.gather(*[database.write(take) for _ in range(40)])
    assert sorted(epochs) == list(range(1, 41))


async def test_writes_of_several_processes_all_arrive(url: str) -> None:
    """Two processes write to one database at the same time, in bursts."""
    processes = [subprocess.Popen([*WRITER, url, str(first), "150"], cwd=ROOT) for first in (1000, 2000)]
    codes = [await asyncio.to_thread(process.wait, 60) for process in processes]
    assert codes == [0, 0]
    database = Database(url)
    await database.open()
    found, _ = await database.read(lambda conn: cases.page(conn, None, 1000))
    assert {case.id for case in found} == {f"C-{first + n}" for first in (1000, 2000) for n in range(150)}
    await database.close()


async def test_what_a_process_was_told_is_stored_survives_its_sudden_death(url: str) -> None:
    process = subprocess.Popen([*WRITER, url, "1", "100000"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [(await asyncio.to_thread(process.stdout.readline)).strip() for _ in range(300)]
    process.kill()
    told += [line for line in (await asyncio.to_thread(process.stdout.read)).split("\n")[:-1] if line]
    process.wait()
    database = Database(url)
    await database.open()
    present = await database.read(lambda conn: [case_id for case_id in told if cases.get(conn, case_id)])
    assert present == told
    await database.close()


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "nonsense"], ids=lambda url: url
)
def test_a_database_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(UnsafeSetting):
        Database(url)


def test_a_refused_url_shows_no_password() -> None:
    with pytest.raises(UnsafeSetting) as caught:
        Database("mysql://eft:geheim@x/y")
    assert "geheim" not in str(caught.value)
