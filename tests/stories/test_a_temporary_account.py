"""A customer with OpenSSH's client and a temporary account, on a gateway with two workers."""

from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import time

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.contents import MIB, Source, dense, noise, sha256, sparse
from tests.stories.sftp_customer import SftpCustomer, account_of, kill, sftp_customer
from tests.stories.waiting import listed, published, refusal, unfinished, until

pytestmark = [pytest.mark.needs("sftp"), pytest.mark.timeout(180)]

SLOWLY = ("-l", "160000")
"""20 MB/s."""


def test_put_get_ls_mkdir_rename_and_rm(gateway: Gateway, case: str, tmp_path: Path) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    log, core = dense(tmp_path / "log", 1, 100_001), dense(tmp_path / "core", 2, 5 * MIB + 1)
    said = customer.ok(
        "mkdir logs",
        "mkdir logs/old",
        f"put {log.path} logs/log",
        f"put -p {core.path} core",
        f"put {log.path} mistake",
        "rename logs/log logs/old/renamed",
        "rm mistake",
        "mkdir empty",
        "rmdir empty",
        "ls -l /",
        "ls logs/old",
        f"get -p core {tmp_path}/core-back",
        f"get logs/old/renamed {tmp_path}/log-back",
        "df -h",
        "pwd",
    )
    assert "renamed" in said
    assert f"{core.size}" in said
    assert "mistake" not in said.partition("ls -l /")[2]
    assert (tmp_path / "core-back").read_bytes() == core.path.read_bytes()
    assert (tmp_path / "core-back").stat().st_mtime == int(core.path.stat().st_mtime)
    assert (tmp_path / "log-back").read_bytes() == log.path.read_bytes()
    # What was closed and removed is out of the customer's sight, and stays with the case until its purge.
    found = published(gateway, case, "core", "logs/old/renamed", "mistake")
    assert set(found) == {"core", "logs/old/renamed", "mistake"}
    assert (found["core"]["sha256"], found["core"]["source"], found["core"]["completeness"]) == (core.sha256, "sftp", "closed")
    # The account goes on after a kill of the gateway, and so does what was put.
    gateway.kill()
    gateway.start()
    customer.ok("ls -l logs/old/renamed", "rename core core.1", f"get core.1 {tmp_path}/core-again")
    assert (tmp_path / "core-again").read_bytes() == core.path.read_bytes()


def test_a_tree_of_files(gateway: Gateway, case: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(300):
        path = tree / f"{number % 7}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(number, number * 31))
    customer = sftp_customer(gateway, case, tmp_path)
    customer.ok(f"put -r {tree}", f"get -r tree {tmp_path}/back")
    sent = {path.relative_to(tmp_path): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    got = {path.relative_to(tmp_path / "back"): path.read_bytes() for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert {Path("tree") / path: data for path, data in got.items()} == sent
    found = published(gateway, case, *map(str, sent))
    assert all(found[str(path)]["sha256"] == sha256(data) for path, data in sent.items())


def test_what_support_hands_back_is_read_only(gateway: Gateway, case: str, tmp_path: Path) -> None:
    fix = dense(tmp_path / "fix", 3, 2 * MIB + 1)
    gateway.call("POST", f"cases/{case}/attachments?name=v2/fix.bin", fix.path.read_bytes())
    customer = sftp_customer(gateway, case, tmp_path)
    said = customer.ok("ls from-support", "ls from-support/v2", f"get from-support/v2/fix.bin {tmp_path}/got")
    assert "fix.bin" in said
    assert (tmp_path / "got").read_bytes() == fix.path.read_bytes()
    (tmp_path / "part").write_bytes(fix.read(0, 300_000))
    customer.ok(f"reget from-support/v2/fix.bin {tmp_path}/part")
    assert (tmp_path / "part").read_bytes() == fix.path.read_bytes()
    for command in (
        f"put {fix.path} from-support/new",
        f"put {fix.path} from-support/v2/fix.bin",
        f"reput {fix.path} from-support/v2/fix.bin",
        "rm from-support/v2/fix.bin",
        "rename from-support/v2/fix.bin mine",
        "mkdir from-support/new",
        "rmdir from-support/v2",
        "rmdir from-support",
        "rename from-support mine",
    ):
        assert customer.run(command).code != 0, command
    assert [(item["name"], item["sha256"]) for item in gateway.attachments(case)] == [("v2/fix.bin", fix.sha256)]


def put_until_cut(gateway: Gateway, case: str, customer: SftpCustomer, source: Source, cut: str) -> int:
    """A `put` that is under way when the client, or the gateway, is killed. How many bytes were known to be stored by then."""
    process = customer.start(*SLOWLY)
    try:
        assert process.stdin is not None
        process.stdin.write(f"put {source.path}\n".encode())
        process.stdin.flush()
        name = source.path.name
        stored = until(lambda: unfinished(gateway, case).get(name, {}).get("offset", 0), lambda offset: offset > 4 * MIB)
        if cut == "gateway":
            gateway.kill()
        elif cut == "worker":
            killed = set(gateway.worker_pids())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            assert process.wait(20) != 0
            until(lambda: gateway.is_ready() and not killed & set(gateway.worker_pids()), within_s=30)
    finally:
        kill(process)
    return int(stored)


@pytest.mark.parametrize("cut", ["client", "gateway", "worker"])
@pytest.mark.parametrize("command", ["reput", "put -a"])
def test_a_put_that_was_cut_is_finished(gateway: Gateway, case: str, tmp_path: Path, cut: str, command: str) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    core = dense(tmp_path / "core", 4, 30 * MIB + 77)
    stored = put_until_cut(gateway, case, customer, core, cut)
    if cut == "gateway":
        gateway.start()
    time.sleep(0.5)
    assert gateway.attachments(case) == []
    assert stored <= unfinished(gateway, case)["core"]["offset"] < core.size
    customer.ok(f"{command} {core.path}", f"get core {tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == core.path.read_bytes()
    assert published(gateway, case, "core")["core"]["sha256"] == core.sha256
    assert len(gateway.attachments(case)) == 1
    assert unfinished(gateway, case) == {}


def memory(gateway: Gateway) -> int:
    """The most that any worker ever had in memory, in MiB."""
    states = [Path(f"/proc/{pid}/status").read_text() for pid in gateway.worker_pids()]
    return max(int(state.partition("VmHWM:")[2].split()[0]) // 1024 for state in states)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_five_gibibytes_that_were_cut_are_finished_in_little_memory(gateway: Gateway, case: str, tmp_path: Path) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    core = sparse(tmp_path / "core", 5 * 1024 * MIB + 3)
    stored = put_until_cut(gateway, case, customer, core, "gateway")
    gateway.start()
    assert gateway.attachments(case) == []
    assert unfinished(gateway, case)["core"]["offset"] >= stored
    before = memory(gateway)
    customer.ok(f"reput {core.path}", within_s=400)
    item = published(gateway, case, "core", within_s=60)["core"]
    assert (item["size"], item["sha256"]) == (core.size, core.sha256)
    customer.ok(f"get core {tmp_path}/back", within_s=400)
    assert Source(tmp_path / "back").sha256 == core.sha256
    (tmp_path / "back").unlink()
    assert memory(gateway) - before < 64


def test_a_download_that_was_cut_is_finished(gateway: Gateway, case: str, tmp_path: Path) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    core = dense(tmp_path / "core", 5, 20 * MIB + 5)
    customer.ok(f"put {core.path}")
    back = tmp_path / "back"
    process = customer.start(*SLOWLY)
    assert process.stdin is not None
    process.stdin.write(f"get core {back}\n".encode())
    process.stdin.flush()
    until(lambda: back.stat().st_size if back.exists() else 0, lambda size: size > MIB)
    gateway.kill()
    kill(process)
    assert back.stat().st_size < core.size
    gateway.start()
    customer.ok(f"reget core {back}")
    assert back.read_bytes() == core.path.read_bytes()


def test_a_finished_file_that_has_grown_is_sent_on_as_a_new_version(gateway: Gateway, case: str, tmp_path: Path) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    log = dense(tmp_path / "log", 6, 3 * MIB + 1)
    customer.ok(f"put {log.path}")
    first = published(gateway, case, "log")["log"]
    with log.path.open("ab") as file:
        file.write(noise(7, 2 * MIB))
    grown = Source(log.path)
    customer.ok(f"reput {grown.path}")
    until(lambda: listed(gateway, case)["log"]["sha256"], lambda seen: seen == grown.sha256)
    assert [item["sha256"] for item in gateway.attachments(case)] == [grown.sha256, first["sha256"]]


def test_eft_account_does_the_same_from_the_shell(gateway: Gateway, case: str, tmp_path: Path) -> None:
    created = json.loads(gateway.eft("account", "create", case, "--json"))
    shown = json.loads(gateway.eft("account", "show", case, "--json"))
    told = gateway.call("GET", f"cases/{case}/sftp-account")
    for key in ("username", "password", "port", "host_key_fingerprints"):
        assert created[key] == shown[key] == told[key], key
    text = gateway.eft("account", "show", case)
    assert created["password"] in text
    assert "UTC" in text
    customer = SftpCustomer(gateway, tmp_path, created)
    customer.ok("pwd")
    with customer.live() as session:
        session.ask("pwd", "Remote working directory")
        replaced = json.loads(gateway.eft("account", "create", case, "--json"))
        assert "no longer valid" in session.cut(5)[1]
    assert replaced["username"] != created["username"]
    assert customer.run("pwd").code != 0
    second = SftpCustomer(gateway, tmp_path, replaced)
    second.ok("pwd")
    with second.live() as session:
        session.ask("pwd", "Remote working directory")
        gateway.eft("account", "revoke", case)
        session.cut(5)
    assert second.run("pwd").code != 0
    assert refusal(gateway, "GET", f"cases/{case}/sftp-account") == (404, "not-found")
    gateway.eft("account", "revoke", case)


def test_revoking_by_the_control_api_cuts_the_session(gateway: Gateway, case: str, tmp_path: Path) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    with customer.live() as session:
        session.ask("pwd", "Remote working directory")
        gateway.call("DELETE", f"cases/{case}/sftp-account")
        took, said = session.cut(5)
        assert took < 3
        assert "no longer valid" in said
    assert customer.run("pwd").code != 0


def test_one_account_sees_one_case(gateway: Gateway, case: str, tmp_path: Path) -> None:
    other = gateway.open_case(f"{case}-other")
    secret = dense(tmp_path / "secret", 8, 1000)
    sftp_customer(gateway, other, tmp_path).ok(f"put {secret.path}")
    customer = SftpCustomer(gateway, tmp_path, account_of(gateway, case))
    assert "secret" not in customer.ok("ls -l /", "ls -l ..")
    for path in ("secret", "../secret", f"../{other}/secret", f"/{other}/secret", "/etc/passwd"):
        assert customer.run(f"get {path} {tmp_path}/got").code != 0
    assert not (tmp_path / "got").exists()
