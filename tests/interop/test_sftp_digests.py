"""Digests asked for over SSH, and copies made by the server, by the clients that ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import hashlib
from pathlib import Path
import random
import shlex
import struct

import paramiko
import pytest

from tests.interop.sftp_clients import Ended, OpenSsh, run
from tests.unit.sftp import wire
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, opened
from tests.unit.sftp.fakes import StoredFile

DATA = random.Random(1).randbytes(3_000_123)
AWKWARD = 'it\'s a \\ "file" ü'


@pytest.fixture
async def door() -> AsyncIterator[OpenDoor]:
    async with opened() as made:
        for name in ("a", AWKWARD, "logs/b"):
            made.directory.files[name] = StoredFile(bytearray(DATA))
        made.directory.files["empty"] = StoredFile()
        yield made


def digest(algorithm: str, data: bytes = DATA) -> str:
    return hashlib.new(algorithm, data).hexdigest()


async def ssh(door: OpenDoor, work: Path, command: str) -> Ended:
    client = OpenSsh(work, door.port)
    words = ["ssh", *client.options, "-p", str(door.port), f"{USER}@127.0.0.1", command]
    return await run(*words, environment=client.environment)


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5", "sha512"])
async def test_the_commands_of_coreutils(door: OpenDoor, tmp_path: Path, algorithm: str) -> None:
    ended = await ssh(door, tmp_path, f"{algorithm}sum /a logs/b empty")
    assert (ended.code, ended.said.splitlines()) == (
        0,
        [f"{digest(algorithm)}  /a", f"{digest(algorithm)}  logs/b", f"{digest(algorithm, b'')}  empty"],
    )


@pytest.mark.needs("ssh", "sha256sum")
async def test_a_name_in_need_of_quotes_is_printed_as_gnu_prints_it(door: OpenDoor, tmp_path: Path) -> None:
    (tmp_path / AWKWARD).write_bytes(DATA)
    expected = await run("sh", "-c", f"cd {tmp_path} && sha256sum {shlex.quote(AWKWARD)}")
    ended = await ssh(door, tmp_path, f"sha256sum {shlex.quote(AWKWARD)}")
    assert (ended.code, ended.said) == (0, expected.said)


@pytest.mark.needs("ssh")
async def test_one_file_that_is_not_there_does_not_hide_the_others(door: OpenDoor, tmp_path: Path) -> None:
    ended = await ssh(door, tmp_path, "sha256sum missing a")
    assert ended.code == 1
    assert f"{digest('sha256')}  a\n" in ended.said
    assert "sha256sum: missing:" in ended.said


@pytest.mark.needs("ssh")
@pytest.mark.parametrize(
    "command",
    [
        "id",
        "sha256sum a; id",
        "sha256sum $(id)",
        "sha256sum a | cat",
        "sha256sum -c a",
        "/usr/bin/sha256sum a",
        "sha256sum 'a",
        "scp -t /",
        "sh",
    ],
)
async def test_nothing_else_is_carried_out(door: OpenDoor, tmp_path: Path, command: str) -> None:
    ended = await ssh(door, tmp_path, command)
    assert ended.code != 0
    assert "uid=" not in ended.said


@pytest.mark.needs("rclone")
@pytest.mark.parametrize("kind", ["MD5", "SHA-1"])
async def test_rclone_sums_and_checks(door: OpenDoor, tmp_path: Path, kind: str) -> None:
    obscured = (await run("rclone", "obscure", PASSWORD)).said.strip()
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "a").write_bytes(DATA)
    place = ["--config", "/dev/null", "--sftp-host", "127.0.0.1", "--sftp-port", str(door.port), "--sftp-user", USER]
    environment = {"RCLONE_SFTP_PASS": obscured}
    ended = await run("rclone", "hashsum", kind, ":sftp:a", *place, environment=environment)
    assert (ended.code, ended.said.split()) == (0, [digest(kind.replace("-", "").lower()), "a"])
    ended = await run("rclone", "check", str(tmp_path / "local"), ":sftp:", "--include", "/a", *place, environment=environment)
    assert ended.code == 0, ended.said
    assert "0 differences found" in ended.said
    assert "hashes could not be checked" not in ended.said


async def test_paramiko_checks_a_file_and_blocks_of_it(door: OpenDoor) -> None:
    def work() -> None:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect("127.0.0.1", door.port, USER, PASSWORD, look_for_keys=False, allow_agent=False)
            with client.open_sftp() as sftp, sftp.open("a") as file:
                assert file.check("sha256").hex() == digest("sha256")
                assert file.check("whirlpool,md5").hex() == digest("md5")
                blocks = file.check("sha1", 1000, 2_000_000, 1_000_000)
                assert blocks.hex() == digest("sha1", DATA[1000:1_001_000]) + digest("sha1", DATA[1_001_000:2_001_000])
                with pytest.raises(OSError, match="256"):
                    file.check("sha1", 0, 0, 200)

    await asyncio.to_thread(work)


async def test_winscp_asks_by_name(door: OpenDoor) -> None:
    async with door.connect() as connection:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        writer.write(wire.INIT)
        asked = wire.string(b"/" + AWKWARD.encode()) + wire.string(b"sha256,sha1") + struct.pack(">QQI", 0, 0, 0)
        writer.write(wire.extended(7, "check-file-name", asked))
        for _ in range(2):
            length = struct.unpack(">I", await reader.readexactly(4))[0]
            body = await reader.readexactly(length)
        assert body == b"\xc9" + struct.pack(">I", 7) + wire.string(b"sha256") + bytes.fromhex(digest("sha256"))


@pytest.mark.needs("sftp")
async def test_openssh_copies_on_the_server(door: OpenDoor, tmp_path: Path) -> None:
    ended = await OpenSsh(tmp_path, door.port).sftp("copy a c", f"get c {tmp_path}/c")
    assert ended.code == 0, ended.said
    assert (tmp_path / "c").read_bytes() == DATA
