"""Other people's SFTP clients against the door: upload, download, resume, rename, times."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
import random

import paramiko
import pytest

from tests.interop.sftp_clients import psftp_words, run
from tests.programs import cannot
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, opened
from tests.unit.sftp.fakes import StoredFile

DATA = random.Random(1).randbytes(3_000_123)
CUT = 1_000_001


def held(door: OpenDoor, name: str) -> bytes:
    return bytes(door.directory.files[name].data)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "big file"
    path.write_bytes(DATA)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def upload_begun(door: OpenDoor, name: str = "big file") -> None:
    door.directory.files[name] = StoredFile(bytearray(DATA[:CUT]))


# lftp


async def lftp(door: OpenDoor, work: Path, *commands: str) -> None:
    told = [
        f"set sftp:connect-program 'ssh -a -x -F /dev/null -o UserKnownHostsFile={work}/hosts -o StrictHostKeyChecking=no -q'",
        "set net:max-retries 1",
        "set cmd:fail-exit true",
        f"open -u {USER},{PASSWORD} sftp://127.0.0.1:{door.port}",
        *commands,
    ]
    ended = await run("lftp", "--norc", "-c", "; ".join(told), environment={"HOME": str(work)})
    assert ended.code == 0, ended.said


@pytest.mark.needs("lftp", "ssh")
async def test_lftp_puts_gets_and_resumes(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        await lftp(door, tmp_path, f'put "{source}"', f'get "big file" -o {tmp_path}/back', "mkdir d", 'mv "big file" d/a', "ls")
        assert (tmp_path / "back").read_bytes() == DATA
        assert held(door, "d/a") == DATA
        assert door.directory.files["d/a"].modified_at.timestamp() == 1_600_000_000
        upload_begun(door)
        await lftp(door, tmp_path, f'put -c "{source}"')
        assert held(door, "big file") == DATA


@pytest.mark.needs("lftp", "ssh")
async def test_lftp_with_temporary_names(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        await lftp(door, tmp_path, "set xfer:use-temp-file true", f'put "{source}"', f'put "{source}"')
        assert held(door, "big file") == DATA
        assert door.directory.receptions[0].settled is None


@pytest.mark.needs("lftp", "ssh")
async def test_lftp_mirrors_a_tree_in_parallel(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(40):
        (tree / f"d{number % 4}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{number % 4}" / f"{number}").write_bytes(DATA[: number * 1000])
    async with opened() as door:
        await lftp(door, tmp_path, f"mirror -R --parallel=4 {tree} t", f"mirror --parallel=4 t {tmp_path}/back")
        for number in range(40):
            name = f"d{number % 4}/{number}"
            assert held(door, f"t/{name}") == (tmp_path / "back" / name).read_bytes() == DATA[: number * 1000]


# PuTTY


async def psftp(door: OpenDoor, work: Path, *commands: str) -> None:
    batch = work / "batch"
    batch.write_text("\n".join(commands) + "\n")
    words = [*psftp_words("psftp", door.port), "-b", str(batch), f"{USER}@127.0.0.1"]
    ended = await run(*words, environment={"HOME": str(work)})
    assert ended.code == 0, ended.said


@pytest.mark.needs("psftp")
async def test_psftp_puts_gets_and_resumes(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        await psftp(
            door, tmp_path, f'put "{source}" new', f"get new {tmp_path}/back", "mkdir d", "mv new d/a", "ls d", "ren d/a d/b"
        )
        assert held(door, "d/b") == (tmp_path / "back").read_bytes() == DATA
        upload_begun(door)
        await psftp(door, tmp_path, f'reput "{source}" "big file"', 'del "d/b"', "rmdir d")
        assert held(door, "big file") == DATA
        assert set(door.directory.files) == {"big file"}


@pytest.mark.needs("pscp")
async def test_pscp_goes_over_sftp(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        words = [*psftp_words("pscp", door.port), "-sftp", "-p"]
        ended = await run(*words, source, f"{USER}@127.0.0.1:a", environment={"HOME": str(tmp_path)})
        assert ended.code == 0, ended.said
        assert held(door, "a") == DATA
        assert door.directory.files["a"].modified_at.timestamp() == 1_600_000_000


# curl


async def curl(door: OpenDoor, *words: str | Path) -> int:
    ended = await run("curl", "-sS", "-k", "--max-time", "60", "-u", f"{USER}:{PASSWORD}", *words)
    return ended.code


@pytest.mark.needs("curl")
async def test_curl_puts_gets_resumes_and_appends(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        url = f"sftp://127.0.0.1:{door.port}"
        if await curl(door, f"{url}/") == 1:
            cannot("this curl is built without SFTP")
        assert await curl(door, "-T", source, f"{url}/a") == 0
        assert held(door, "a") == DATA
        assert await curl(door, f"{url}/a", "-o", tmp_path / "back") == 0
        assert (tmp_path / "back").read_bytes() == DATA
        assert await curl(door, "-r", "1000-1999", f"{url}/a", "-o", tmp_path / "range") == 0
        assert (tmp_path / "range").read_bytes() == DATA[1000:2000]
        upload_begun(door, "b")
        assert await curl(door, "-C", "-", "-T", source, f"{url}/b") == 0
        assert held(door, "b") == DATA
        (tmp_path / "rest").write_bytes(DATA[CUT:])
        upload_begun(door, "c")
        assert await curl(door, "--append", "-T", tmp_path / "rest", f"{url}/c") == 0
        assert held(door, "c") == DATA


# rclone


@pytest.mark.needs("rclone")
async def test_rclone_copies_there_and_back(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        hidden = (await run("rclone", "obscure", PASSWORD)).said.strip()
        remote = f":sftp,host=127.0.0.1,port={door.port},user={USER},pass={hidden},set_modtime=true:"
        environment = {"HOME": str(tmp_path), "RCLONE_CONFIG": str(tmp_path / "none")}
        for words in (
            ("copyto", source, f"{remote}d/a"),
            ("copyto", f"{remote}d/a", tmp_path / "back"),
            ("lsl", f"{remote}d"),
            ("moveto", f"{remote}d/a", f"{remote}d/b"),
        ):
            ended = await run("rclone", "--retries", "1", *words, environment=environment)
            assert ended.code == 0, ended.said
        assert held(door, "d/b") == (tmp_path / "back").read_bytes() == DATA
        assert door.directory.files["d/b"].modified_at.timestamp() == 1_600_000_000


# paramiko


def use_paramiko(port: int, source: Path, back: Path) -> None:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", port, USER, PASSWORD, allow_agent=False, look_for_keys=False)
    with client, client.open_sftp() as sftp:
        assert sftp.put(str(source), "a").st_size == len(DATA)
        sftp.get("/a", str(back))
        with sftp.open("a", "rb") as file:
            file.prefetch()
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(DATA).digest()
        sftp.mkdir("d")
        sftp.posix_rename("a", "d/a")
        sftp.utime("d/a", (1, 1_500_000_000))
        assert sftp.stat("d/a").st_mtime == 1_500_000_000
        with sftp.open("d/a", "ab") as file:
            file.write(b"more")
        assert sftp.stat("d/a").st_size == len(DATA) + 4
        assert sftp.normalize("x/../d") == "/d"
        with pytest.raises(OSError, match="read-only"):
            sftp.remove("from-support/x")
        with pytest.raises(FileNotFoundError):
            sftp.stat("nothing")


async def test_paramiko_does_what_it_does(tmp_path: Path, source: Path) -> None:
    async with opened() as door:
        await asyncio.to_thread(use_paramiko, door.port, source, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == DATA
        assert held(door, "d/a") == DATA + b"more"
