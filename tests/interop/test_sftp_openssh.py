"""OpenSSH's own clients against the door."""

from __future__ import annotations

import asyncio
from datetime import timedelta
import os
from pathlib import Path
import random
import signal
import time

import pytest

from tests.interop.sftp_clients import OpenSsh, psftp_words, run
from tests.unit.sftp.doors import USER, opened
from tests.unit.sftp.fakes import StoredFile

pytestmark = [pytest.mark.needs("sftp"), pytest.mark.timeout(120)]


def pattern(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 4095, 65536, 65537, 261120, 261121, 3_000_001])
async def test_a_file_is_put_and_got_byte_for_byte(tmp_path: Path, size: int) -> None:
    (tmp_path / "a file").write_bytes(pattern(size))
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        ended = await client.sftp(f'put "{tmp_path}/a file"', f'get "a file" "{tmp_path}/back"')
        assert ended.code == 0, ended.said
        assert bytes(door.directory.files["a file"].data) == pattern(size)
        assert (tmp_path / "back").read_bytes() == pattern(size)
        assert door.directory.receptions[0].settled == (600.0 if size == 261120 else 5.0)


async def test_a_larger_file_with_every_cipher_that_is_offered(tmp_path: Path) -> None:
    data = pattern(20_000_000)
    (tmp_path / "big").write_bytes(data)
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        for cipher in ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"):
            ended = await client.sftp(f"put {tmp_path}/big", f"get big {tmp_path}/back", extra=("-c", cipher))
            assert ended.code == 0, ended.said
            assert bytes(door.directory.files["big"].data) == data
            assert (tmp_path / "back").read_bytes() == data


@pytest.mark.parametrize("block", [512, 4096, 32768, 200_000])
async def test_other_block_sizes(tmp_path: Path, block: int) -> None:
    data = pattern(1_000_003)
    (tmp_path / "a").write_bytes(data)
    async with opened() as door:
        ended = await OpenSsh(tmp_path, door.port).sftp(
            f"put {tmp_path}/a", f"get a {tmp_path}/b", extra=("-B", str(block), "-R", "200")
        )
        assert ended.code == 0, ended.said
        assert bytes(door.directory.files["a"].data) == (tmp_path / "b").read_bytes() == data


async def test_directories_names_and_lists(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    (tmp_path / "😀 -x").write_text("smile")
    async with opened() as door:
        door.directory.files["from-support/answer.txt"] = StoredFile(bytearray(b"42"))
        client = OpenSsh(tmp_path, door.port)
        ended = await client.sftp(
            "pwd",
            "mkdir logs",
            "cd logs",
            f"put {tmp_path}/a",
            f'put "{tmp_path}/😀 -x"',
            "rename a b",
            "ls -l",
            "ls -la /",
            "df",
            "chmod 600 b",
            f"get /from-support/answer.txt {tmp_path}/answer",
        )
        assert ended.code == 0, ended.said
        assert "Remote working directory: /" in ended.said
        assert "-rw-------" in ended.said
        assert "😀 -x" in ended.said
        assert "from-support" in ended.said
        assert "100%" not in ended.said.split("df")[-1].splitlines()[-1]
        assert (tmp_path / "answer").read_text() == "42"
        assert set(door.directory.files) == {"logs/b", "logs/😀 -x", "from-support/answer.txt"}
        ended = await client.sftp("rm logs/b", 'rm "logs/😀 -x"', "rmdir logs")
        assert ended.code == 0, ended.said
        assert door.directory.directories == {"", "from-support"}


async def test_trees_and_times(tmp_path: Path) -> None:
    tree = tmp_path / "tree" / "deeper"
    tree.mkdir(parents=True)
    (tree / "x").write_text("x" * 5000)
    os.utime(tree / "x", (1_500_000_000, 1_500_000_000))
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        ended = await client.sftp(f"put -rp {tmp_path}/tree", f"get -rp tree {tmp_path}/back")
        assert ended.code == 0, ended.said
        assert door.directory.files["tree/deeper/x"].modified_at.timestamp() == 1_500_000_000
        assert (tmp_path / "back/deeper/x").stat().st_mtime == 1_500_000_000


async def test_many_small_files(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(200):
        (tmp_path / "many" / f"{number:03d}").write_bytes(pattern(number * 37))
    async with opened() as door:
        ended = await OpenSsh(tmp_path, door.port).sftp("mkdir many", f"put {tmp_path}/many/* many/")
        assert ended.code == 0, ended.said
        assert len(door.directory.files) == 200
        assert all(bytes(file.data) == pattern(int(name[-3:]) * 37) for name, file in door.directory.files.items())


async def test_what_is_read_only_is_refused_in_words_the_client_shows(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        for command in (
            f"put {tmp_path}/a from-support/",
            "mkdir from-support/x",
            "ln -s /etc/passwd x",
            "rename from-support x",
        ):
            ended = await client.sftp(command)
            assert ended.code != 0
        assert "ermission denied" in (await client.sftp("mkdir from-support/x")).said
        assert "not found" in (await client.sftp("get nothing")).said
        assert not door.directory.files


async def test_fsync_is_asked_for_and_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    async with opened() as door:
        ended = await OpenSsh(tmp_path, door.port).sftp(f"put -f {tmp_path}/a")
        assert ended.code == 0, ended.said
        assert door.directory.receptions[0].commits == 1


async def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    async with opened() as door:
        ended = await OpenSsh(tmp_path, door.port, password="wrong").sftp("pwd")
        assert ended.code != 0
        assert "ermission denied" in ended.said


async def test_no_shell_and_no_command(tmp_path: Path) -> None:
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        began = time.monotonic()
        for words in (("id",), ()):
            ended = await run(
                "ssh",
                *client.options,
                "-p",
                str(door.port),
                client.remote("").rstrip(":"),
                *words,
                environment=client.environment,
            )
            assert ended.code != 0
        assert time.monotonic() - began < 10


async def cut_put(client: OpenSsh, door, path: Path, at: int) -> int:  # type: ignore[no-untyped-def]
    """Kills a `put` in the middle. How much was received."""
    process = await asyncio.create_subprocess_exec(
        *client.sftp_command,
        env={**os.environ, **client.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(f"put {path}\n".encode())
    while not (path.name in door.directory.files and len(door.directory.files[path.name].data) >= at):
        await asyncio.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    while not door.directory.receptions[-1].released:
        await asyncio.sleep(0.01)
    return len(door.directory.files[path.name].data)


@pytest.mark.parametrize("at", [1, 1_000_000, 15_000_000])
async def test_a_put_that_was_killed_is_finished_by_reput(tmp_path: Path, at: int) -> None:
    data = pattern(30_000_000)
    path = tmp_path / "big"
    path.write_bytes(data)
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        words = client.sftp_command
        received = await cut_put(_Slow(client, words), door, path, at)
        assert at <= received
        first = door.directory.receptions[-1]
        assert first.settled is False
        ended = await client.sftp(f"reput {path}")
        assert ended.code == 0, ended.said
        assert bytes(door.directory.files["big"].data) == data
        if received < len(data):
            assert door.directory.receptions[-1] is not first
            assert door.directory.receptions[-1].settled == 5.0


class _Slow(OpenSsh):
    """The same client with a limited line, so that there is a middle to be killed in."""

    def __init__(self, client: OpenSsh, words: list[str]) -> None:
        self.environment = client.environment
        self._words = words

    @property
    def sftp_command(self) -> list[str]:
        return [self._words[0], "-l", "400000", *self._words[1:]]


async def test_a_put_that_was_interrupted_rests_for_long_and_is_finished_by_reput(tmp_path: Path) -> None:
    """Ctrl-C: the client drains what it has under way and sends a normal CLOSE on a part of the file."""
    data = pattern(60_000_000)
    path = tmp_path / "big"
    path.write_bytes(data)
    async with opened() as door:
        client = _Slow(OpenSsh(tmp_path, door.port), OpenSsh(tmp_path, door.port).sftp_command)
        process = await asyncio.create_subprocess_exec(
            *client.sftp_command,
            env={**os.environ, **client.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(f"put {path}\n".encode())
        while not door.directory.receptions or door.directory.receptions[-1].offset < 2_000_000:
            await asyncio.sleep(0.002)
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 20)
        reception = door.directory.receptions[-1]
        assert reception.offset < len(data)
        assert reception.settled in (600.0, False)
        ended = await OpenSsh(tmp_path, door.port).sftp(f"reput {path}")
        assert ended.code == 0, ended.said
        assert bytes(door.directory.files["big"].data) == data


async def test_a_put_is_cut_when_the_account_runs_out(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(pattern(60_000_000))
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        slow = _Slow(client, client.sftp_command)
        process = await asyncio.create_subprocess_exec(
            *slow.sftp_command,
            env={**os.environ, **client.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(f"put {path}\n".encode())
        while not door.directory.receptions or door.directory.receptions[-1].offset < 2_000_000:
            await asyncio.sleep(0.002)
        door.clock.ahead = timedelta(hours=120)
        began = time.monotonic()
        said, _ = await asyncio.wait_for(process.communicate(), 10)
        assert time.monotonic() - began < 2
        assert process.returncode != 0, said
        assert b"The temporary account expired at" in said
        reception = door.directory.receptions[-1]
        assert reception.released
        assert reception.settled is False
        ended = await client.sftp("pwd")
        assert ended.code != 0


@pytest.mark.needs("scp")
async def test_scp_goes_over_sftp(tmp_path: Path) -> None:
    data = pattern(700_000)
    (tmp_path / "a").write_bytes(data)
    async with opened() as door:
        client = OpenSsh(tmp_path, door.port)
        ended = await client.scp("-p", "-s", str(tmp_path / "a"), client.remote("/b"))
        assert ended.code == 0, ended.said
        assert bytes(door.directory.files["b"].data) == data
        ended = await client.scp("-s", client.remote("/b"), str(tmp_path / "c"))
        assert ended.code == 0, ended.said
        assert (tmp_path / "c").read_bytes() == data


@pytest.mark.needs("scp")
async def test_the_old_protocol_of_scp_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pattern(1000))
    async with opened() as door:
        door.directory.files["b"] = StoredFile(bytearray(b"b"))
        client = OpenSsh(tmp_path, door.port)
        for words in (
            (str(tmp_path / "a"), client.remote("/a")),
            (client.remote("/b"), str(tmp_path / "b")),
            ("-r", "-p", str(tmp_path / "a"), client.remote("/")),
        ):
            ended = await client.scp("-O", *words)
            assert ended.code != 0
            assert "Use scp without -O" in ended.said, words
        assert set(door.directory.files) == {"b"}
        assert not (tmp_path / "b").exists()
        ended = await client.scp(str(tmp_path / "a"), client.remote("/a"))
        assert ended.code == 0, ended.said


@pytest.mark.needs("pscp")
async def test_pscp_with_the_old_protocol_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pattern(1000))
    async with opened() as door:
        words = [*psftp_words("pscp", door.port), "-scp", tmp_path / "a", f"{USER}@127.0.0.1:/a"]
        ended = await run(*words, environment={"HOME": str(tmp_path)})
        assert ended.code != 0
        assert "speaks SFTP only" in ended.said
        assert not door.directory.files
