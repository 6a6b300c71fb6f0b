"""A temporary account works for 120 hours, to the second: then it is over for logins, for sessions, and for the password."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
import sqlite3
import time
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.conftest import MakeGateway
from tests.stories.contents import MIB, Source, dense
from tests.stories.faked_time import FakedTime
from tests.stories.sftp_customer import SftpCustomer, account_of
from tests.stories.waiting import refusal, unfinished, until

pytestmark = [pytest.mark.needs("faketime", "sftp"), pytest.mark.timeout(180)]

CUT_WITHIN_S = 2.5
"""About a second, and what a busy machine adds."""


class Timed:
    """A gateway that goes by a clock which is moved here."""

    def __init__(self, gateway: Gateway, clock: FakedTime) -> None:
        self.gateway, self.clock = gateway, clock

    def account(self, case: str) -> tuple[dict[str, Any], datetime]:
        made = account_of(self.gateway, case)
        return made, datetime.fromisoformat(made["expires_at"])


@pytest.fixture(scope="module")
def timed(make_gateway: MakeGateway, tmp_path_factory: pytest.TempPathFactory) -> Timed:
    clock = FakedTime(tmp_path_factory.mktemp("time") / "now", at_once=True)
    return Timed(make_gateway(workers=2, environment=clock.environment).start(), clock)


@pytest.fixture
def gateway(timed: Timed) -> Gateway:
    timed.clock.run_ahead(timedelta())
    return timed.gateway


def row(gateway: Gateway, username: str) -> tuple[Any, ...]:
    """Hash and slot of the account, in the database itself."""
    database = gateway.directory / "data" / gateway.region / "eft.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found: tuple[Any, ...] = connection.execute(
            "SELECT password_hash, secret_slot FROM accounts WHERE username = ?", (username,)
        ).fetchone()
    return found


def slots(gateway: Gateway) -> bytes:
    return (gateway.directory / "data" / gateway.region / "keys" / "slots").read_bytes()


def sealed_password(before: bytes, after: bytes) -> bytes:
    """The bytes that issuing an account put into the key store: the longest run of them that was not there."""
    runs: list[tuple[int, int]] = []
    for at, (old, new) in enumerate(zip(before.ljust(len(after), b"\0"), after, strict=True)):
        if old != new:
            if runs and at - runs[-1][1] <= 2:
                runs[-1] = (runs[-1][0], at + 1)
            else:
                runs.append((at, at + 1))
    start, stop = max(runs, key=lambda run: run[1] - run[0])
    return after[start:stop]


def test_to_the_second(timed: Timed, gateway: Gateway, case: str, tmp_path: Path) -> None:
    before = slots(gateway)
    account, expires_at = timed.account(case)
    sealed = sealed_password(before, slots(gateway))
    assert len(sealed) >= 16
    customer = SftpCustomer(gateway, tmp_path, account)
    with customer.live() as session:
        session.ask("pwd", "Remote working directory")
        for left in (timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)):
            timed.clock.stand_at(expires_at - left)
            customer.ok("pwd")
            session.ask("ls -l /", "from-support")
            assert gateway.call("GET", f"cases/{case}/sftp-account")["password"] == account["password"]
        password_hash, slot = row(gateway, account["username"])
        assert password_hash.startswith("$argon2id$")
        assert slot is not None
        assert sealed in slots(gateway)

        timed.clock.stand_at(expires_at)
        took, said = session.cut(5)
        assert took < CUT_WITHIN_S
        assert "expired" in said
    assert "Permission denied" in customer.run("pwd").text
    assert refusal(gateway, "GET", f"cases/{case}/sftp-account") == (404, "not-found")
    until(lambda: row(gateway, account["username"]), lambda seen: not seen[0] and seen[1] is None, within_s=5)
    assert sealed not in slots(gateway)
    assert not [
        path for path in gateway.directory.rglob("*") if path.is_file() and account["password"].encode() in path.read_bytes()
    ]


def test_a_transfer_under_way_is_cut_and_goes_on_with_a_new_account(
    timed: Timed, gateway: Gateway, case: str, tmp_path: Path
) -> None:
    """What other work on the machine adds differs from time to time: one of three cuts has to be seen in time."""
    took: list[float] = []
    while not took or (took[-1] >= 1 + CUT_WITHIN_S and len(took) < 3):
        core = dense(tmp_path / f"core-{len(took)}", len(took) + 1, 24 * MIB)
        account, expires_at = timed.account(case)
        took.append(seconds_until_cut(timed, SftpCustomer(gateway, tmp_path, account), core, expires_at, case))
        assert gateway.attachments(case) == []
        kept = unfinished(gateway, case)[core.path.name]["offset"]
        assert 0 < kept < core.size
    assert 0.5 < took[-1] < 1 + CUT_WITHIN_S, took
    again, _ = timed.account(case)
    assert again["username"] != account["username"]
    SftpCustomer(gateway, tmp_path, again).ok(f"reput {core.path}", f"get {core.path.name} {tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == core.path.read_bytes()


def seconds_until_cut(timed: Timed, customer: SftpCustomer, core: Source, expires_at: datetime, case: str) -> float:
    """From a second before the account's end to that of its session, in the middle of a put."""
    name = core.path.name
    timed.clock.run_from(expires_at - timedelta(seconds=20))
    with customer.live("-l", "16000") as session:
        session.tell(f"put {core.path}")
        until(lambda: unfinished(timed.gateway, case).get(name, {}).get("offset", 0), lambda offset: offset > MIB)
        timed.clock.run_from(expires_at - timedelta(seconds=1))
        took, _ = session.cut(8)
    return took


def test_a_gateway_that_was_down_at_the_instant_erases_when_it_starts(
    timed: Timed, gateway: Gateway, case: str, tmp_path: Path
) -> None:
    account, expires_at = timed.account(case)
    gateway.kill()
    timed.clock.run_from(expires_at + timedelta(hours=3))
    gateway.start()
    assert SftpCustomer(gateway, tmp_path, account).run("pwd").code != 0
    assert refusal(gateway, "GET", f"cases/{case}/sftp-account") == (404, "not-found")
    until(lambda: row(gateway, account["username"]), lambda seen: not seen[0] and seen[1] is None, within_s=10)


def test_a_writer_waits_for_the_database_whatever_the_clock_does(timed: Timed, gateway: Gateway, case: str) -> None:
    database = gateway.directory / "data" / gateway.region / "eft.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(account_of, gateway, case)
        timed.clock.run_ahead(timedelta(hours=1))
        time.sleep(0.3)
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert waiting.result(10)["username"]


def test_a_clock_that_is_set_back_does_not_bring_an_account_back(
    timed: Timed, gateway: Gateway, case: str, tmp_path: Path
) -> None:
    account, expires_at = timed.account(case)
    timed.clock.run_from(expires_at + timedelta(seconds=1))
    until(lambda: row(gateway, account["username"]), lambda seen: not seen[0] and seen[1] is None, within_s=5)
    timed.clock.run_ahead(timedelta())
    assert SftpCustomer(gateway, tmp_path, account).run("pwd").code != 0
