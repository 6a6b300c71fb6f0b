"""The same, with PostgreSQL as the database: one upload over each door, kills, a closed case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.gateway import Gateway
from tests.fixtures.postgres import PostgresServer
from tests.stories.conftest import MakeGateway
from tests.stories.contents import MIB, dense, noise, sha256
from tests.stories.sftp_customer import kill, sftp_customer
from tests.stories.tus_customer import Refused, Upload, customer_of
from tests.stories.waiting import listed, published, unfinished, until

pytestmark = [pytest.mark.needs("initdb", "postgres", "sftp"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def shared_gateway(make_gateway: MakeGateway, postgres: PostgresServer) -> Iterator[Gateway]:
    database = postgres.make_database()
    gateway = make_gateway(workers=2, database_url=postgres.url(database))
    yield gateway
    gateway.stop()
    postgres.drop_database(database)


def test_an_upload_over_https_goes_on_after_a_kill(gateway: Gateway, case: str, tmp_path: Path) -> None:
    core = dense(tmp_path / "core", 1, 20 * MIB + 1)
    customer = customer_of(gateway, case)
    upload = Upload("core", core)
    customer.send_part(upload, 9 * MIB, checksum=True)
    customer.create("small", 5, b"small")
    gateway.kill()
    gateway.start()
    customer.hang_up()
    assert set(listed(gateway, case)) == {"small"}
    customer.resume(upload)
    assert upload.acknowledged == 9 * MIB
    customer.send(upload, part=4 * MIB, checksum=True)
    found = listed(gateway, case)
    assert (found["core"]["size"], found["core"]["sha256"]) == (core.size, core.sha256)
    assert gateway.call("GET", f"attachments/{found['core']['id']}/content") == core.path.read_bytes()
    assert gateway.call("GET", f"attachments/{found['small']['id']}/content") == b"small"


def test_a_put_goes_on_after_a_kill(gateway: Gateway, case: str, tmp_path: Path) -> None:
    core = dense(tmp_path / "core", 2, 30 * MIB + 7)
    customer = sftp_customer(gateway, case, tmp_path)
    process = customer.start("-l", "160000")
    try:
        assert process.stdin is not None
        process.stdin.write(f"put {core.path}\n".encode())
        process.stdin.flush()
        until(lambda: unfinished(gateway, case).get("core", {}).get("offset", 0), lambda offset: offset > 4 * MIB)
        gateway.kill()
    finally:
        kill(process)
    gateway.start()
    assert gateway.attachments(case) == []
    customer.ok(f"reput {core.path}", "mkdir d", "rename core d/core", "ls -l d", f"get d/core {tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == core.path.read_bytes()
    assert published(gateway, case, "d/core")["d/core"]["sha256"] == core.sha256


def test_many_small_files(gateway: Gateway, case: str) -> None:
    customer = customer_of(gateway, case)
    for number in range(300):
        customer.create(f"{number}", number, noise(number, number))
    found = listed(gateway, case)
    assert {name: item["sha256"] for name, item in found.items()} == {
        f"{number}": sha256(noise(number, number)) for number in range(300)
    }


def test_closing_freezes_and_cuts_and_reopening_goes_on(gateway: Gateway, case: str, tmp_path: Path) -> None:
    log = dense(tmp_path / "log", 3, 3 * MIB)
    customer = customer_of(gateway, case)
    upload = Upload("log", log)
    customer.send_part(upload, MIB)
    sftp = sftp_customer(gateway, case, tmp_path)
    with sftp.live() as session:
        session.ask("ls -l /", "from-support")
        gateway.call("POST", f"cases/{case}/close", {"sub_status": "resolved", "comment": ""})
        assert session.cut(10)[0] < 3
    with pytest.raises(Refused, match="case-closed"):
        customer.send_part(upload, MIB)
    gateway.call("POST", f"cases/{case}/reopen", {"reason": "again", "actor": "staff"})
    customer.send(upload, part=MIB)
    assert listed(gateway, case)["log"]["sha256"] == log.sha256
