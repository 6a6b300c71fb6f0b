"""Thirty days after a case was closed its key and its bytes are gone; not a second before, and never when somebody objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
import sqlite3
import time

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.case_system import CaseSystem
from tests.stories.conftest import MakeGateway
from tests.stories.contents import MIB, noise, sha256
from tests.stories.faked_time import FakedTime
from tests.stories.sftp_customer import sftp_customer
from tests.stories.tus_customer import GONE, Refused, customer_of
from tests.stories.waiting import listed, published, refusal, unfinished, until

pytestmark = [pytest.mark.needs("faketime", "sftp"), pytest.mark.timeout(240)]

RETENTION = timedelta(days=30)
SMALL, LARGE = noise(1, 20_000), noise(2, 3 * MIB + 9)


class Archive:
    """A gateway, its clock, and cases that each have something of every kind: a large file and a small one, one over SFTP, one of
    support's, and an unfinished upload."""

    def __init__(self, gateway: Gateway, clock: FakedTime, work: Path) -> None:
        self.gateway, self.clock, self.work = gateway, clock, work
        self.closed_at: dict[str, datetime] = {}
        self.contents: dict[str, dict[str, bytes]] = {}

    def fill(self, case: str, *, sftp: bool = True) -> None:
        customer = customer_of(self.gateway, self.gateway.open_case(case))
        self.contents[case] = {"small": SMALL, "large": LARGE, "fix": LARGE}
        customer.create("small", len(SMALL), SMALL)
        customer.create("large", len(LARGE), LARGE)
        path = customer.create("unfinished", 10 * MIB)
        customer.patch(path, 0, LARGE, len(LARGE))
        customer.hang_up()
        self.gateway.call("POST", f"cases/{case}/attachments?name=fix", LARGE)
        if sftp:
            (self.work / "log").write_bytes(LARGE)
            sftp_customer(self.gateway, case, self.work).ok("mkdir d", f"put {self.work}/log d/log")
            published(self.gateway, case, "d/log")
            self.contents[case]["d/log"] = LARGE

    def close(self, case: str) -> datetime:
        body = {"sub_status": "resolved", "comment": "done"}
        closed = self.gateway.call("POST", f"cases/{case}/close", body)
        assert datetime.fromisoformat(closed["purge_at"]) == datetime.fromisoformat(closed["closed_at"]) + RETENTION
        self.closed_at[case] = datetime.fromisoformat(closed["closed_at"])
        return self.closed_at[case]

    def reopen(self, case: str, actor: str = "customer") -> tuple[int, str]:
        return refusal(self.gateway, "POST", f"cases/{case}/reopen", {"reason": "more", "actor": actor})

    def state(self, case: str) -> str:
        return str(self.gateway.call("GET", f"cases/{case}")["purge"])

    def purged(self, case: str) -> None:
        """Waits for it."""
        until(lambda: self.state(case), lambda seen: seen == "purged", within_s=45)

    def facts(self, case: str) -> tuple[str, int | None]:
        """The name of the case in storage, and where its key is."""
        database = self.gateway.directory / "data" / self.gateway.region / "eft.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found: tuple[str, int | None] = connection.execute("SELECT uid, key_slot FROM cases WHERE id = ?", (case,)).fetchone()
        return found

    def files(self, case: str) -> list[Path]:
        uid, _ = self.facts(case)
        return [path for path in (self.gateway.directory / "data").rglob("*") if path.is_file() and uid in str(path)]

    def check_all_there(self, case: str) -> None:
        found = listed(self.gateway, case)
        wanted = self.contents[case]
        assert {name: item["sha256"] for name, item in found.items()} == {name: sha256(data) for name, data in wanted.items()}
        for name, item in found.items():
            assert item["state"] == "available"
            assert self.gateway.call("GET", f"attachments/{item['id']}/content") == wanted[name]

    def check_all_gone(self, case: str) -> None:
        assert self.files(case) == []
        items = self.gateway.attachments(case)
        assert {item["name"] for item in items} == set(self.contents[case])
        for item in items:
            assert item["state"] == "purged"
            assert refusal(self.gateway, "GET", f"attachments/{item['id']}/content") == (410, "purged")
            assert refusal(self.gateway, "GET", f"attachments/{item['id']}") == (410, "purged")
        assert unfinished(self.gateway, case) == {}


@pytest.fixture(scope="module")
def archive(make_gateway: MakeGateway, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    work = tmp_path_factory.mktemp("work")
    clock = FakedTime(work / "now", at_once=False)
    gateway = make_gateway(workers=2, environment=clock.environment).start()
    return Archive(gateway, clock, work)


def test_thirty_days_to_the_second(archive: Archive) -> None:
    gateway, clock = archive.gateway, archive.clock
    for case in ("due", "reopened", "held", "open"):
        archive.fill(case, sftp=case in ("due", "held"))
    uid, slot = archive.facts("due")
    assert slot is not None
    assert archive.files("due")
    keys = gateway.directory / "data" / "us" / "keys" / "slots"
    for case in ("held", "reopened", "due"):
        archive.close(case)
    last = archive.closed_at["due"]
    gateway.call("PUT", "cases/held/hold", {"reason": "litigation"})

    clock.stand_at(archive.closed_at["reopened"] + RETENTION - timedelta(microseconds=1))
    time.sleep(3)
    assert [archive.state(case) for case in ("due", "reopened", "held")] == ["none", "none", "none"]
    assert archive.reopen("reopened") == (200, "")
    archive.check_all_there("reopened")
    (path,) = (f"/files/{upload['id']}" for upload in unfinished(gateway, "reopened").values())
    assert customer_of(gateway, "reopened").offset(path) == len(LARGE)

    clock.run_from(last + RETENTION - timedelta(seconds=5))
    time.sleep(2)
    assert archive.state("due") == "none"
    archive.check_all_there("due")
    keys_before = keys.read_bytes()
    # Nobody jumps from here on: the clock passes the instant by itself.
    until(lambda: archive.clock.now(), lambda seen: seen >= last + RETENTION, within_s=10)
    assert archive.reopen("due") == (403, "reopen-too-late")
    until(lambda: archive.state("due"), lambda seen: seen != "none", within_s=4)
    first = next(item for item in gateway.attachments("due") if item["name"] == "large")
    assert refusal(gateway, "GET", f"attachments/{first['id']}/content") == (410, "purged")
    assert archive.reopen("due", "staff") == (403, "case-purging")
    archive.purged("due")

    archive.check_all_gone("due")
    _, slot_now = archive.facts("due")
    assert slot_now is None
    assert keys.read_bytes() != keys_before
    assert bytes.fromhex(uid) in keys.read_bytes() or uid.encode() in keys.read_bytes(), "the tombstone names the case"
    with pytest.raises(Refused) as refused:
        customer_of(gateway, "open").offset(path)
    assert refused.value.status == 404
    archive.check_all_there("reopened")
    archive.check_all_there("held")
    archive.check_all_there("open")
    assert "held" in gateway.eft("purge", "--dry-run")

    # The hold is lifted, and the purge follows; a case purged may be reopened by staff, empty.
    gateway.call("DELETE", "cases/held/hold")
    clock.run_ahead(clock.ahead + timedelta(minutes=1))
    archive.purged("held")
    archive.check_all_gone("held")
    assert archive.reopen("held", "staff") == (200, "")
    customer_of(gateway, "held").create("again", len(LARGE), LARGE)
    again = listed(gateway, "held")["again"]
    assert gateway.call("GET", f"attachments/{again['id']}/content") == LARGE
    gateway.eft("keys", "check")


def test_a_gateway_that_is_killed_while_it_purges_comes_to_the_same_end(archive: Archive) -> None:
    archive.clock.run_ahead(timedelta())
    archive.fill("killed", sftp=False)
    at = archive.close("killed")
    archive.clock.run_from(at + RETENTION)
    until(lambda: archive.state("killed"), lambda seen: seen != "none", within_s=45)
    archive.gateway.kill()
    archive.gateway.start()
    archive.purged("killed")
    archive.check_all_gone("killed")


def test_a_download_under_way_ends_with_the_purge(archive: Archive) -> None:
    gateway, clock = archive.gateway, archive.clock
    clock.run_ahead(timedelta())
    customer = customer_of(gateway, gateway.open_case("read"))
    large = noise(3, 40 * MIB)
    path = customer.create("core", len(large), large)
    with customer.download(path) as answer:
        got = len(answer.read(MIB))
        clock.run_from(archive.close("read") + RETENTION)
        archive.purged("read")
        with suppress(*GONE):
            while piece := answer.read(MIB):
                got += len(piece)
    assert got < len(large)


@pytest.fixture
def case_system() -> Iterator[CaseSystem]:
    made = CaseSystem()
    yield made
    made.stop()


def test_nothing_is_purged_that_the_case_system_does_not_confirm(
    make_gateway: MakeGateway, case_system: CaseSystem, tmp_path: Path
) -> None:
    clock = FakedTime(tmp_path / "now", at_once=False)
    token = tmp_path / "case-system-token"
    token.touch(mode=0o600)
    token.write_text("secret-of-the-case-system\n")
    settings = f'[uploads]\nsettle_s = 0.3\n[case_system]\nurl = "{case_system.url}"\ntoken_file = "{token}"\n'
    gateway = make_gateway(environment=clock.environment, settings=settings).start()
    archive = Archive(gateway, clock, tmp_path)
    cases = ("confirmed", "reopened-there", "closed-later", "unknown-there", "failing", "gibberish")
    for case in cases:
        archive.fill(case, sftp=False)
        archive.close(case)
    closed = {case: at.isoformat() for case, at in archive.closed_at.items()}
    later = (archive.closed_at["closed-later"] + timedelta(days=3)).isoformat()
    told = {
        "confirmed": (200, {"status": "closed", "closed_at": closed["confirmed"]}),
        "reopened-there": (200, {"status": "open", "closed_at": None}),
        "closed-later": (200, {"status": "closed", "closed_at": later}),
        "failing": (500, {"status": "closed", "closed_at": closed["failing"]}),
        "gibberish": (200, ["closed"]),
    }
    kept = [case for case in cases if case != "confirmed"]

    case_system.stop()
    clock.run_from(max(archive.closed_at.values()) + RETENTION)
    until(lambda: gateway.log.read_text().count("case-system-unreachable"), lambda seen: seen >= len(cases), within_s=45)
    time.sleep(1)
    assert {archive.state(case) for case in cases} == {"none"}
    archive.check_all_there("confirmed")

    case_system.answers = told
    case_system.start()
    clock.run_ahead(clock.ahead + timedelta(minutes=1))
    archive.purged("confirmed")
    archive.check_all_gone("confirmed")
    until(lambda: {case for case, _ in case_system.asked}, lambda seen: seen >= set(cases))
    assert {token for _, token in case_system.asked} == {"Bearer secret-of-the-case-system"}
    time.sleep(2)
    for case in kept:
        assert archive.state(case) == "none"
        archive.check_all_there(case)
    plan = gateway.eft("purge", "--dry-run")
    assert all(case in plan for case in kept)

    # Once it agrees, the purge goes on by itself.
    case_system.answers["closed-later"] = (200, {"status": "closed", "closed_at": closed["closed-later"]})
    clock.run_ahead(clock.ahead + timedelta(minutes=1))
    archive.purged("closed-later")
    archive.check_all_gone("closed-later")
    # And reopening one that was kept brings back everything.
    assert archive.reopen("reopened-there", "staff") == (200, "")
    archive.check_all_there("reopened-there")
    assert unfinished(gateway, "reopened-there")["unfinished"]["state"] == "receiving"
