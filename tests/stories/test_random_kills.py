"""`kill -9` at random moments of running uploads over both doors: every acknowledged byte is there, nothing partial is shown as
complete, and the next start needs no hand."""

from __future__ import annotations

import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.fixtures.gateway import EFT, Gateway
from tests.stories.conftest import MakeGateway
from tests.stories.contents import MIB, dense, sha256
from tests.stories.sftp_customer import account_of
from tests.stories.traffic import Traffic
from tests.stories.tus_customer import Upload, customer_of
from tests.stories.waiting import listed, unfinished, until

KILLS = int(os.environ.get("EFT_KILLS", "6"))
SEED = int(os.environ.get("EFT_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)

pytestmark = [pytest.mark.needs("sftp"), pytest.mark.timeout(300 + 30 * max(KILLS, 50))]

# Nothing rests before it is published: a file that was cut must not be taken for a whole one in any case.
AT_ONCE = "[uploads]\nsettle_s = 0.1\nsettle_suspicious_s = 0.1\n"


def tell(what: str) -> None:
    """For whoever looks at a failure."""
    sys.stderr.write(what + "\n")


def attachments(gateway: Gateway, case: str) -> list[dict[str, Any]]:
    """The list, asked for again where the worker that was asked has just been killed."""
    while True:
        try:
            return gateway.attachments(case)
        except OSError as error:
            if gateway.process is None or gateway.process.poll() is not None:
                raise
            tell(f"asked a worker that was killed: {error!r}")
            time.sleep(0.1)


def check_nothing_partial(gateway: Gateway, traffic: Traffic) -> None:
    for item in attachments(gateway, traffic.case):
        promise = traffic.promises[item["name"]]
        assert (item["size"], item["sha256"]) == (promise.size, promise.sha256), item["name"]


def kill_gateway(gateway: Gateway, traffic: Traffic) -> None:
    gateway.kill()
    began = time.monotonic()
    gateway.start()
    tell(f"ready again after {time.monotonic() - began:.1f} s")


def kill_worker(gateway: Gateway, chance: random.Random) -> None:
    pids = until(gateway.worker_pids, lambda seen: len(seen) == gateway.workers)
    os.kill(chance.choice(pids), signal.SIGKILL)


def run(gateway: Gateway, work: Path, chance: random.Random, kills: int) -> None:
    """Traffic, and kills of the gateway and of single workers in turn."""
    gateway.start()
    case = gateway.open_case()
    token = gateway.upload_token(case)
    traffic = Traffic(gateway, case, token, account_of(gateway, case), work, chance.getrandbits(32))
    traffic.start()
    try:
        for number in range(kills):
            time.sleep(chance.uniform(0.05, 2.0))
            if number % 2:
                kill_worker(gateway, chance)
            else:
                kill_gateway(gateway, traffic)
            check_nothing_partial(gateway, traffic)
            assert not traffic.faults, traffic.faults
    finally:
        traffic.stop()
    assert not traffic.faults, traffic.faults
    assert traffic.lost >= kills // 2
    tell(f"failures: {traffic.failures}")
    until(gateway.is_ready)
    check_all_kept(gateway, traffic, work)


def check_all_kept(gateway: Gateway, traffic: Traffic, work: Path) -> None:
    """Every promise, byte for byte; in the end once more after a kill that hits nothing."""
    kept = {name for name, promise in traffic.promises.items() if promise.kept}
    assert len(kept) > 5
    for _ in range(2):
        until(lambda: set(listed(gateway, traffic.case)), lambda seen: seen >= kept)
        check_nothing_partial(gateway, traffic)
        gateway.kill()
        gateway.start()
    found = listed(gateway, traffic.case)
    for name in kept:
        content = gateway.call("GET", f"attachments/{found[name]['id']}/content")
        assert sha256(content) == traffic.promises[name].sha256, name
        (work / name).unlink()
    left = unfinished(gateway, traffic.case)
    # What was never acknowledged may be there in part, and only as what it is.
    assert all(upload["state"] in ("receiving", "settling") for upload in left.values())
    log = gateway.log.read_text()
    assert '"segment.tampered"' not in log
    assert "Traceback" not in log
    tell(f"{len(kept)} files kept their promise, {traffic.lost} connections were lost, {len(left)} uploads were left unfinished")


def test_kills_of_the_gateway_and_of_its_workers(make_gateway: MakeGateway, tmp_path: Path) -> None:
    tell(f"EFT_SEED={SEED}")
    gateway = make_gateway(workers=2, settings=AT_ONCE)
    try:
        run(gateway, tmp_path, random.Random(SEED), KILLS)
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)


def test_starts_that_are_killed_are_in_nobodys_way(gateway: Gateway, case: str, tmp_path: Path) -> None:
    """The supervisor alone is killed, at any moment of its start; its workers end by themselves."""
    core = dense(tmp_path / "core", 1, 3 * MIB)
    customer = customer_of(gateway, case)
    upload = Upload("core", core)
    customer.send_part(upload, MIB)
    customer.hang_up()
    gateway.kill()
    command = [str(EFT), "serve", "--config", str(gateway.config), "--workers", "2"]
    for wait_s in (0.0, 0.3, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6):
        with gateway.log.open("ab") as log:
            starting = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        time.sleep(wait_s)
        assert starting.poll() is None
        starting.kill()
        starting.wait()
    gateway.start()
    customer.resume(upload)
    customer.send(upload, part=MIB)
    assert listed(gateway, case)["core"]["sha256"] == core.sha256


@pytest.mark.soak
def test_many_kills_of_a_gateway_with_one_worker(make_gateway: MakeGateway, tmp_path: Path) -> None:
    tell(f"EFT_SEED={SEED}")
    run(make_gateway(workers=1, settings=AT_ONCE), tmp_path, random.Random(SEED), max(KILLS, 50))
