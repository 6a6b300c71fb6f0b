"""OpenSSH's sftp against a real gateway: real accounts, real storage, real kills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
import hashlib
import os
from pathlib import Path
import random
import signal
import time
from typing import Any

import pytest

from tests.fixtures.gateway import ApiError, Gateway
from tests.interop.sftp_clients import OpenSsh

pytestmark = [pytest.mark.needs("sftp"), pytest.mark.timeout(180)]

CASE = "CS-1"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path / "gateway", settings="[uploads]\nsettle_s = 0.3\n")
    await asyncio.to_thread(made.start)
    made.open_case(CASE)
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
def client(gateway: Gateway, tmp_path: Path) -> OpenSsh:
    return signed_in(gateway, tmp_path)


def signed_in(gateway: Gateway, work: Path) -> OpenSsh:
    account = gateway.call("POST", f"cases/{CASE}/sftp-account")
    return OpenSsh(work, gateway.sftp_port, user=account["username"], password=account["password"])


async def published(gateway: Gateway, *names: str) -> dict[str, Any]:
    """The attachments by name, once these are among them."""
    deadline = time.monotonic() + 20
    while True:
        found = {item["name"]: item for item in reversed(gateway.attachments(CASE))}
        if set(names) <= set(found):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def ok(client: OpenSsh, *commands: str, extra: tuple[str, ...] = ()) -> str:
    ended = await client.sftp(*commands, extra=extra)
    assert ended.code == 0, ended.said
    return ended.said


@contextlib.asynccontextmanager
async def put_under_way(client: OpenSsh, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `put` over a line that takes its time."""
    words = client.sftp_command
    process = await asyncio.create_subprocess_exec(
        words[0],
        "-l",
        "200000",
        *words[1:],
        env={**os.environ, **client.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(f"put {path}\n".encode())
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def received(gateway: Gateway, name: str, at_least: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        offsets = {item["name"]: item["offset"] for item in gateway.call("GET", f"cases/{CASE}/uploads")["items"]}
        if offsets.get(name, -1) >= at_least:
            return
        assert time.monotonic() < deadline, offsets
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("size", [0, 1, 32768, 32769, 65535, 65536, 65537, 5_000_003])
async def test_files_of_any_size_arrive_whole_and_come_back(gateway: Gateway, client: OpenSsh, tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "a").write_bytes(data)
    await ok(client, f"put {tmp_path}/a", f"get a {tmp_path}/b", "ls -l")
    assert (tmp_path / "b").read_bytes() == data
    if size == 32768:
        return
    found = (await published(gateway, "a"))["a"]
    assert (found["size"], found["sha256"]) == (size, sha256(data))
    assert (found["source"], found["completeness"]) == ("sftp", "closed")


async def test_directories_renames_and_removals(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    said = await ok(
        client,
        "mkdir logs",
        f"put {tmp_path}/a logs/a",
        "rename logs/a logs/😀",
        f"put {tmp_path}/a gone",
        "rm gone",
        "mkdir empty",
        "rmdir empty",
        "ls -l logs",
        "ls /",
    )
    assert "😀" in said
    assert "from-support" in said
    assert set(await published(gateway, "logs/😀")) - {"gone"} == {"logs/😀"}


async def test_what_support_hands_back_is_read_only(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    gateway.call("POST", f"cases/{CASE}/attachments?name=fix.txt", b"the fix")
    (tmp_path / "a").write_text("hello")
    await ok(client, f"get from-support/fix.txt {tmp_path}/fix")
    assert (tmp_path / "fix").read_text() == "the fix"
    for command in (
        f"put {tmp_path}/a from-support/a",
        f"put {tmp_path}/a from-support/fix.txt",
        "rm from-support/fix.txt",
        "rename from-support/fix.txt a",
        "mkdir from-support/d",
        "rmdir from-support",
    ):
        assert (await client.sftp(command)).code != 0, command


async def test_a_put_whose_client_is_killed_is_finished_by_reput(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    data = random.Random(7).randbytes(40_000_000)
    (tmp_path / "big").write_bytes(data)
    async with put_under_way(client, tmp_path / "big"):
        await received(gateway, "big", 5_000_000)
    await asyncio.sleep(1)
    assert gateway.attachments(CASE) == []
    await ok(client, f"reput {tmp_path}/big")
    found = (await published(gateway, "big"))["big"]
    assert (found["size"], found["sha256"]) == (len(data), sha256(data))
    assert len(gateway.attachments(CASE)) == 1


async def test_a_put_whose_gateway_is_killed_is_finished_by_reput(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    data = random.Random(8).randbytes(60_000_000)
    (tmp_path / "big").write_bytes(data)
    async with put_under_way(client, tmp_path / "big"):
        await received(gateway, "big", 17_000_000)
        await asyncio.to_thread(gateway.kill)
    await asyncio.to_thread(gateway.start)
    assert gateway.attachments(CASE) == []
    await received(gateway, "big", 16_000_000)
    await ok(client, f"reput {tmp_path}/big")
    found = (await published(gateway, "big"))["big"]
    assert (found["size"], found["sha256"]) == (len(data), sha256(data))


async def test_a_file_that_was_closed_survives_a_kill(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    small, large = random.Random(1).randbytes(100), random.Random(2).randbytes(3_000_001)
    (tmp_path / "small").write_bytes(small)
    (tmp_path / "large").write_bytes(large)
    await ok(client, f"put {tmp_path}/small", f"put {tmp_path}/large")
    await asyncio.to_thread(gateway.kill)
    await asyncio.to_thread(gateway.start)
    found = await published(gateway, "small", "large")
    assert (found["small"]["sha256"], found["large"]["sha256"]) == (sha256(small), sha256(large))


async def test_a_second_account_replaces_the_first_and_cuts_it(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    data = random.Random(9).randbytes(60_000_000)
    (tmp_path / "big").write_bytes(data)
    async with put_under_way(client, tmp_path / "big") as process:
        await received(gateway, "big", 1_000_000)
        again = signed_in(gateway, tmp_path)
        said, _ = await asyncio.wait_for(process.communicate(), 5)
        assert process.returncode != 0
        assert b"no longer valid" in said
    assert (await client.sftp("pwd")).code != 0
    await ok(again, f"reput {tmp_path}/big")
    assert (await published(gateway, "big"))["big"]["sha256"] == sha256(data)


async def test_closing_the_case_cuts_and_freezes_and_reopening_goes_on(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    data = random.Random(10).randbytes(60_000_000)
    (tmp_path / "big").write_bytes(data)
    async with put_under_way(client, tmp_path / "big") as process:
        await received(gateway, "big", 1_000_000)
        gateway.call("POST", f"cases/{CASE}/close", {"sub_status": "resolved", "comment": "done"})
        await asyncio.wait_for(process.wait(), 5)
    assert (await client.sftp("pwd")).code != 0
    with pytest.raises(ApiError, match="case-closed"):
        signed_in(gateway, tmp_path)
    states = {item["state"] for item in gateway.call("GET", f"cases/{CASE}/uploads")["items"]}
    assert states == {"frozen"}
    gateway.call("POST", f"cases/{CASE}/reopen", {"reason": "more logs", "actor": "staff"})
    await ok(signed_in(gateway, tmp_path), f"reput {tmp_path}/big")
    assert (await published(gateway, "big"))["big"]["sha256"] == sha256(data)


async def test_many_small_files_and_several_clients_at_once(gateway: Gateway, client: OpenSsh, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(100):
        (tmp_path / "many" / f"{number}").write_bytes(random.Random(number).randbytes(number * 50))
    works = [tmp_path / f"work{number}" for number in range(3)]
    account = gateway.call("GET", f"cases/{CASE}/sftp-account")
    clients = []
    for work in works:
        work.mkdir()
        clients.append(OpenSsh(work, gateway.sftp_port, user=account["username"], password=account["password"]))
    await asyncio.gather(*(ok(each, f"mkdir d{n}", f"put {tmp_path}/many/* d{n}/") for n, each in enumerate(clients)))
    names = [f"d{n}/{number}" for n in range(3) for number in range(100)]
    found = await published(gateway, *names)
    for name in names:
        number = int(name.split("/")[1])
        assert found[name]["sha256"] == sha256(random.Random(number).randbytes(number * 50))
