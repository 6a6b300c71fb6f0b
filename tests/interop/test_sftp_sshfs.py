"""sshfs: a case as a directory of the machine, with programs that write where they like."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import random
import secrets
import shutil
import subprocess
import time
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.programs import cannot

pytestmark = [pytest.mark.needs("sshfs", "fusermount3"), pytest.mark.timeout(120)]

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("sshfs") / "eft", settings="[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 0.6\n")
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)


@pytest.fixture
def case(gateway: Gateway) -> str:
    return gateway.open_case(f"CS-{secrets.token_hex(4)}")


@pytest.fixture
def mounted(gateway: Gateway, case: str, tmp_path: Path) -> Iterator[Path]:
    """The case's directory."""
    if not os.access("/dev/fuse", os.W_OK):
        cannot("this machine lets nobody mount by FUSE")
    account = gateway.call("POST", f"cases/{case}/sftp-account")
    directory = tmp_path / "case"
    directory.mkdir()
    options = "password_stdin,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,ssh_command=ssh -F /dev/null"
    subprocess.run(
        ["sshfs", f"{account['username']}@127.0.0.1:/", directory, "-o", f"port={gateway.sftp_port},{options}"],
        input=account["password"].encode() + b"\n",
        check=True,
        timeout=30,
    )
    yield directory
    subprocess.run(["fusermount3", "-u", "-z", directory], check=False, timeout=30)


def attachment(gateway: Gateway, case: str, name: str, version_size: int) -> dict[str, Any]:
    """The newest of that name, once it has that size."""
    deadline = time.monotonic() + 20
    while True:
        named = [found for found in gateway.attachments(case) if found["name"] == name]
        if named and named[0]["size"] == version_size:
            return named[0]
        assert time.monotonic() < deadline, named
        time.sleep(0.1)


def stored(gateway: Gateway, case: str, name: str, size: int) -> bytes:
    found = attachment(gateway, case, name, size)
    content: bytes = gateway.call("GET", f"attachments/{found['id']}/content")
    assert hashlib.sha256(content).hexdigest() == found["sha256"]
    return content


def test_cp_and_back(gateway: Gateway, case: str, mounted: Path, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(5 * MIB + 3)
    (tmp_path / "a").write_bytes(data)
    shutil.copyfile(tmp_path / "a", mounted / "a b ü.bin")
    assert (mounted / "a b ü.bin").read_bytes() == data
    assert stored(gateway, case, "a b ü.bin", len(data)) == data
    (mounted / "logs").mkdir()
    (mounted / "logs" / "b").write_bytes(b"b")
    assert sorted(path.name for path in mounted.iterdir()) == ["a b ü.bin", "from-support", "logs", "receipts"]
    assert stored(gateway, case, "logs/b", 1) == b"b"


def test_a_head_that_is_written_last(gateway: Gateway, case: str, mounted: Path) -> None:
    data = random.Random(2).randbytes(4 * MIB)
    with (mounted / "image").open("wb") as file:
        file.write(bytes(100) + data[100:])
        file.flush()
        file.seek(0)
        file.write(data[:100])
    assert stored(gateway, case, "image", len(data)) == data


def test_writes_at_random(gateway: Gateway, case: str, mounted: Path) -> None:
    chance = random.Random(3)
    expected = bytearray(3 * MIB)
    with (mounted / "database").open("wb", buffering=0) as file:
        file.write(expected)
        for _ in range(60):
            at, data = chance.randrange(3 * MIB - 9000), chance.randbytes(chance.randrange(1, 9000))
            expected[at : at + len(data)] = data
            file.seek(at)
            file.write(data)
        file.seek(0, os.SEEK_END)
        file.write(b"the end")
    expected += b"the end"
    assert stored(gateway, case, "database", len(expected)) == bytes(expected)


def test_a_file_is_read_while_it_is_written(mounted: Path) -> None:
    with (mounted / "both").open("w+b", buffering=0) as file:
        file.write(b"0123456789" * 50_000)
        file.seek(123_456)
        assert file.read(10) == b"6789012345"


def test_appending_and_writing_anew(gateway: Gateway, case: str, mounted: Path) -> None:
    (mounted / "log").write_bytes(b"one\n")
    with (mounted / "log").open("ab") as file:
        file.write(b"two\n")
    assert stored(gateway, case, "log", 8) == b"one\ntwo\n"
    (mounted / "log").write_bytes(b"other\n")
    assert (mounted / "log").read_bytes() == b"other\n"
    assert stored(gateway, case, "log", 6) == b"other\n"
    assert [found["size"] for found in gateway.attachments(case)] == [6, 8]


def test_rename_over_and_remove(gateway: Gateway, case: str, mounted: Path) -> None:
    (mounted / "a.tmp").write_bytes(b"new")
    (mounted / "a").write_bytes(b"old")
    (mounted / "a.tmp").rename(mounted / "a")
    assert (mounted / "a").read_bytes() == b"new"
    (mounted / "a").unlink()
    assert not (mounted / "a").exists()


def test_timestamps_are_kept(mounted: Path) -> None:
    (mounted / "old").write_bytes(b"x")
    os.utime(mounted / "old", (1_700_000_000, 1_700_000_000))
    assert (mounted / "old").stat().st_mtime == 1_700_000_000
