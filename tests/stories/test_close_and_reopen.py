"""Support closes a case while the customer is sending; later it is reopened, and everything is there and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import time

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.contents import MIB, dense
from tests.stories.sftp_customer import sftp_customer
from tests.stories.tus_customer import Refused, TusCustomer, Upload, customer_of
from tests.stories.waiting import listed, published, refusal, unfinished, until

pytestmark = [pytest.mark.needs("sftp"), pytest.mark.timeout(180)]

CUT_WITHIN_S = 3.0
"""One or two seconds, and what a busy machine adds."""


def close(gateway: Gateway, case: str) -> None:
    gateway.call("POST", f"cases/{case}/close", {"sub_status": "resolved", "comment": "done"})


def reopen(gateway: Gateway, case: str) -> None:
    gateway.call("POST", f"cases/{case}/reopen", {"reason": "it is back", "actor": "customer"})


def refused_with(customer: TusCustomer, upload: Upload, size: int) -> tuple[int, object]:
    with pytest.raises(Refused) as refused:
        customer.send_part(upload, size)
    return refused.value.status, refused.value.code


def test_a_case_closes_while_files_are_sent_and_goes_on_after_it_is_reopened(gateway: Gateway, case: str, tmp_path: Path) -> None:
    done = dense(tmp_path / "done", 1, MIB + 1)
    core = dense(tmp_path / "core", 2, 24 * MIB + 1)
    disk = dense(tmp_path / "disk", 3, 40 * MIB + 1)
    https, idle = customer_of(gateway, case), customer_of(gateway, case)
    https.create("done", done.size, done.path.read_bytes())
    resting, running = Upload("resting", core), Upload("running", core)
    idle.send_part(resting, 3 * MIB + 7)
    sftp = sftp_customer(gateway, case, tmp_path)
    with sftp.live("-l", "40000") as putting, sftp.live() as waiting, ThreadPoolExecutor(1) as pool:
        waiting.ask("ls -l /", "from-support")
        putting.tell(f"put {disk.path}")
        sending = pool.submit(slowly, https, running)
        until(lambda: unfinished(gateway, case).get("disk", {}).get("offset", 0), lambda offset: offset > MIB)
        until(lambda: running.acknowledged, lambda offset: offset >= 2 * MIB)
        close(gateway, case)
        assert putting.cut(10)[0] < CUT_WITHIN_S
        assert waiting.cut(10)[0] < CUT_WITHIN_S
        assert sending.result(20) == (403, "case-closed")

    assert refused_with(idle, resting, MIB) == (403, "case-closed")
    assert idle.offset(str(resting.path)) == resting.acknowledged
    frozen = unfinished(gateway, case)
    assert {name: upload["state"] for name, upload in frozen.items()} == {
        "resting": "frozen",
        "running": "frozen",
        "disk": "frozen",
    }
    assert frozen["resting"]["offset"] == resting.acknowledged
    assert frozen["running"]["offset"] >= running.acknowledged
    with pytest.raises(Refused, match="case-closed"):
        idle.create("new", 1, b"x")
    assert sftp.run("pwd").code != 0
    for method in ("POST", "GET"):
        assert refusal(gateway, method, f"cases/{case}/sftp-account") in ((403, "case-closed"), (404, "not-found"))
    assert refusal(gateway, "POST", f"cases/{case}/upload-tokens", {}) == (403, "case-closed")
    assert refusal(gateway, "POST", f"cases/{case}/attachments?name=x", b"x") == (403, "case-closed")
    assert set(listed(gateway, case)) == {"done"}
    assert gateway.call("GET", f"attachments/{listed(gateway, case)['done']['id']}/content") == done.path.read_bytes()

    gateway.kill()
    gateway.start()
    https.hang_up()
    idle.hang_up()
    assert {upload["state"] for upload in unfinished(gateway, case).values()} == {"frozen"}
    assert refused_with(idle, resting, MIB) == (403, "case-closed")

    reopen(gateway, case)
    for customer, upload in ((idle, resting), (https, running)):
        customer.resume(upload)
        customer.send(upload, part=8 * MIB)
    assert sftp.run("pwd").code != 0, "the account was revoked for good"
    sftp_customer(gateway, case, tmp_path).ok(f"reput {disk.path}")
    found = published(gateway, case, "disk")
    wanted = {"done": done.sha256, "resting": core.sha256, "running": core.sha256, "disk": disk.sha256}
    assert {name: item["sha256"] for name, item in found.items()} == wanted
    assert unfinished(gateway, case) == {}


def slowly(customer: TusCustomer, upload: Upload) -> tuple[int, object]:
    """Sends part after part until it is refused; status and code of that."""
    try:
        while not upload.finished:
            customer.send_part(upload, MIB)
            time.sleep(0.1)
    except Refused as refused:
        return refused.status, refused.code
    raise AssertionError("it was finished before the case was closed")


def test_one_long_part_is_cut_by_the_closing(gateway: Gateway, case: str, tmp_path: Path) -> None:
    """A body of which bytes still flow ends with 403 in a second or two, and what had come is kept."""
    core = dense(tmp_path / "core", 4, 40 * MIB)
    customer = customer_of(gateway, case)
    upload = Upload("core", core, customer.create("core", core.size))

    def body() -> Iterator[bytes]:
        for piece in core.pieces(0, core.size):
            yield piece
            if customer.is_answered(0.2):
                return

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(customer.patch, str(upload.path), 0, body(), core.size)
        until(lambda: unfinished(gateway, case)["core"]["offset"], lambda offset: offset > MIB)
        close(gateway, case)
        began = time.monotonic()
        error = sending.exception(30)
    assert isinstance(error, Refused)
    assert (error.status, error.code) == (403, "case-closed")
    assert time.monotonic() - began < CUT_WITHIN_S
    kept = unfinished(gateway, case)["core"]["offset"]
    assert kept >= MIB
    reopen(gateway, case)
    customer.hang_up()
    customer.resume(upload)
    assert upload.acknowledged >= kept
    customer.send(upload, part=16 * MIB)
    assert listed(gateway, case)["core"]["sha256"] == core.sha256


def test_what_was_closed_by_its_sender_before_the_case_was_is_published(gateway: Gateway, case: str, tmp_path: Path) -> None:
    log = dense(tmp_path / "log", 5, 100_000)
    sftp = sftp_customer(gateway, case, tmp_path)
    sftp.ok(f"put {log.path} log", f"put {log.path} b.log")
    close(gateway, case)
    found = published(gateway, case, "log", "b.log")
    assert {item["sha256"] for item in found.values()} == {log.sha256}


def test_closing_from_the_shell_does_the_same(gateway: Gateway, case: str, tmp_path: Path) -> None:
    core = dense(tmp_path / "core", 6, 4 * MIB)
    customer = customer_of(gateway, case)
    upload = Upload("core", core)
    customer.send_part(upload, MIB)
    sftp = sftp_customer(gateway, case, tmp_path)
    with sftp.live() as session:
        session.ask("ls -l /", "from-support")
        gateway.eft("case", "close", case, "--sub-status", "resolved", "--comment", "done")
        session.cut(10)
    assert refused_with(customer, upload, MIB) == (403, "case-closed")
    gateway.eft("case", "reopen", case, "--reason", "it is back")
    customer.send(upload, part=MIB)
    assert listed(gateway, case)["core"]["sha256"] == core.sha256
