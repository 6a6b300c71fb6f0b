"""What comes of an early ending hours later, over SFTP and in the browser's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
import random
import shutil
import signal
import threading
import time
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_matrix.checks import World
from tests.interop.sftp_matrix.client import ClientFailed
from tests.interop.sftp_matrix.line import Line
from tests.interop.sftp_matrix.openssh import Sftp
from tests.stories.contents import sha256
from tests.stories.faked_time import FakedTime
from tests.stories.tus_customer import TusCustomer
from tests.stories.waiting import published, unfinished, until

pytestmark = [pytest.mark.needs("faketime", "sftp"), pytest.mark.timeout(400)]

SIZE = 6_000_077
PATIENCE_S = 60
LATER = timedelta(hours=1, minutes=1)


class Timed:
    def __init__(self, gateway: Gateway, clock: FakedTime) -> None:
        self.gateway, self.clock = gateway, clock


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timed]:
    clock = FakedTime(tmp_path_factory.mktemp("time") / "now", at_once=False)
    made = Gateway(
        tmp_path_factory.mktemp("later") / "eft", environment=clock.environment, settings="[uploads]\nsettle_s = 0.3\n"
    )
    made.start()
    yield Timed(made, clock)
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)


def interrupt_a_put(world: World, source: Path, remote: str) -> int:
    """Ctrl-C in the middle of it: OpenSSH's sftp drains what it has under way, and sends CLOSE. The bytes that are kept."""
    with Line(world.account.port, hold_after=random.SystemRandom().randrange(300_000, 900_000)) as line:
        client = world.through(line.port)
        putting = threading.Thread(target=client.put, args=(source, remote), daemon=True)
        putting.start()
        assert line.held.wait(PATIENCE_S)
        client.signal(signal.SIGINT)
        time.sleep(0.1)
        line.go_on()
        putting.join(PATIENCE_S)
        assert line.run_dry(PATIENCE_S)
    kept = until(lambda: unfinished(world.gateway, world.case).get(remote[1:], {}), lambda seen: seen.get("state") == "settling")
    assert 0 < kept["offset"] < source.stat().st_size
    return int(kept["offset"])


def facts(item: dict[str, Any]) -> tuple[str, str, bool]:
    return item["sha256"], item["completeness"], item["superseded"]


def test_a_put_stopped_by_ctrl_c_is_finished_within_ten_minutes_as_if_nothing_had_been(timed: Timed, tmp_path: Path) -> None:
    world = World(timed.gateway, Sftp, tmp_path)
    source = world.file("core", SIZE)
    interrupt_a_put(world, source, "/core")
    timed.clock.run_ahead(timed.clock.ahead + timedelta(minutes=9))
    assert timed.gateway.attachments(world.case) == []
    world.client.resume_put(source, "/core")
    (item,) = world.arrived(("/core", source))
    assert facts(item) == (sha256(source.read_bytes()), "closed", False)
    timed.clock.run_ahead(timed.clock.ahead + timedelta(hours=24))
    assert [facts(item) for item in timed.gateway.attachments(world.case)] == [facts(item)]
    assert unfinished(timed.gateway, world.case) == {}


def test_a_put_stopped_by_ctrl_c_is_finished_an_hour_later_and_supersedes_what_had_settled(timed: Timed, tmp_path: Path) -> None:
    world = World(timed.gateway, Sftp, tmp_path)
    source = world.file("core", SIZE)
    kept = interrupt_a_put(world, source, "/core")
    timed.clock.run_ahead(timed.clock.ahead + LATER)
    part = published(timed.gateway, world.case, "core")["core"]
    assert (part["size"], facts(part)) == (kept, (sha256(source.read_bytes()[:kept]), "closed", False))
    with Line(world.account.port) as line:
        world.through(line.port).resume_put(source, "/core")
        assert line.sent < SIZE - kept + 200_000, "only the rest is sent"
    newer, older = world.arrived(("/core", source))
    assert facts(newer) == (sha256(source.read_bytes()), "closed", False)
    assert facts(older) == (sha256(source.read_bytes()[:kept]), "closed", True)
    world.client.get("/core", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    listing = world.client.batch("ls -l /")  # type: ignore[attr-defined]
    assert listing.count("core") == 1


NAMES = ("a.filepart", "a.part", ".in.a", "a.tmp")


def test_names_of_files_on_their_way_wait_for_their_rename_however_long(timed: Timed, tmp_path: Path) -> None:
    world = World(timed.gateway, Sftp, tmp_path)
    sources = [(f"/{name}", world.file(name, 40_001 + number, seed=number)) for number, name in enumerate(NAMES)]
    world.client.batch(*(f'put "{local}" "{remote}"' for remote, local in sources))  # type: ignore[attr-defined]
    timed.clock.run_ahead(timed.clock.ahead + LATER)
    time.sleep(1)
    assert timed.gateway.attachments(world.case) == []
    assert set(unfinished(timed.gateway, world.case)) == set(NAMES)
    moves = [f'rename "/{name}" "/whole-{number}"' for number, name in enumerate(NAMES)]
    world.client.batch(*moves)  # type: ignore[attr-defined]
    found = world.arrived(*((f"/whole-{number}", local) for number, (_, local) in enumerate(sources)))
    assert len(found) == len(NAMES)


def test_nothing_that_was_complete_is_lost_by_overwriting_renaming_and_removing(timed: Timed, tmp_path: Path) -> None:
    world = World(timed.gateway, Sftp, tmp_path)
    versions = [world.file(f"v{number}", 50_000 + number, seed=number) for number in range(4)]
    for version in versions[:3]:
        world.client.put(version, "/a")
        world.arrived(("/a", version))
    world.client.put(versions[3], "/b")
    world.arrived(("/b", versions[3]))
    world.client.rename_over("/b", "/a")
    world.client.batch("rm /a")  # type: ignore[attr-defined]
    with pytest.raises(ClientFailed):
        world.client.get("/a", tmp_path / "back")
    timed.gateway.kill()
    timed.gateway.start()
    timed.clock.run_ahead(timed.clock.ahead + timedelta(hours=90))
    found = timed.gateway.attachments(world.case)
    assert sorted(item["sha256"] for item in found) == sorted(sha256(version.read_bytes()) for version in versions)
    for item in found:
        content = timed.gateway.call("GET", f"attachments/{item['id']}/content")
        assert sha256(content) == item["sha256"]


# The other door


def test_what_a_browser_began_is_finished_by_sftp(timed: Timed, tmp_path: Path) -> None:
    world = World(timed.gateway, Sftp, tmp_path)
    source = world.file("core", SIZE)
    whole = source.read_bytes()
    browser = TusCustomer(timed.gateway, timed.gateway.upload_token(world.case))
    path = browser.create("logs/core", SIZE)
    assert browser.patch(path, 0, whole[:1_234_567], 1_234_567) == 1_234_567
    browser.hang_up()
    assert "1234567" in world.client.batch("ls -l /logs/core.part")  # type: ignore[attr-defined]
    with Line(world.account.port) as line:
        world.through(line.port).resume_put(source, "/logs/core.part")
        assert line.sent < SIZE - 1_234_567 + 200_000
    (item,) = world.arrived(("/logs/core", source))
    assert facts(item) == (sha256(whole), "declared", False)
    assert browser.offset(path) == SIZE


def test_what_sftp_began_is_finished_by_a_browser(timed: Timed, tmp_path: Path) -> None:
    world = World(timed.gateway, Sftp, tmp_path)
    source = world.file("core", SIZE)
    whole = source.read_bytes()
    with Line(world.account.port, hold_after=900_000) as line:
        putting = threading.Thread(target=_fails, args=(world.through(line.port), source), daemon=True)
        putting.start()
        assert line.held.wait(PATIENCE_S)
        until(lambda: unfinished(timed.gateway, world.case).get("core", {}).get("offset", 0))
        line.cut()
        putting.join(PATIENCE_S)
    begun = unfinished(timed.gateway, world.case)["core"]
    browser = TusCustomer(timed.gateway, timed.gateway.upload_token(world.case))
    path = f"/files/{begun['id']}"
    offset = browser.offset(path)
    assert begun["offset"] <= offset < SIZE
    told = {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Length": str(SIZE),
    }
    status, headers, _ = browser.request("PATCH", path, told, whole[offset:])
    assert (status, headers["Upload-Offset"]) == (204, str(SIZE))
    (item,) = world.arrived(("/core", source))
    assert facts(item) == (sha256(whole), "declared", False)
    world.client.get("/core", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == whole


def _fails(client: Sftp, source: Path) -> None:
    with pytest.raises(ClientFailed):
        client.put(source, "/core")
