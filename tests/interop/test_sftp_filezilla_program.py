"""FileZilla's program, windows and queue and all, against a gateway."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import secrets

import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.filezilla_program import RESUME, Program, Transfer
from tests.stories.waiting import listed, unfinished

pytestmark = [pytest.mark.needs("filezilla", "Xvfb", "xdotool", "pgrep"), pytest.mark.timeout(400)]

FILES = {"a dump ä.bin": 4_000_000, "core.1": 1_000_000, "notes.txt": 1_000, "empty": 0}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us", settings="[uploads]\nsettle_s = 0.3\n").start()
    yield made
    made.stop()


@pytest.fixture
def case(gateway: Gateway) -> str:
    return gateway.open_case(f"CS-{secrets.token_hex(4)}")


@pytest.fixture
def filezilla(gateway: Gateway, case: str, tmp_path: Path) -> Program:
    account = gateway.call("POST", f"cases/{case}/sftp-account")
    return Program(tmp_path / "home", gateway.sftp_port, account["username"], account["password"])


def test_its_queue_goes_up_several_at_once_and_comes_down_again(
    gateway: Gateway, case: str, filezilla: Program, tmp_path: Path
) -> None:
    local, back = tmp_path / "local", tmp_path / "back"
    local.mkdir()
    back.mkdir()
    for name, size in FILES.items():
        (local / name).write_bytes(os.urandom(size))
    queue = [Transfer(name, size) for name, size in FILES.items()]
    filezilla.work_off(local, queue, lambda: set(listed(gateway, case)) == set(FILES))
    for name, item in listed(gateway, case).items():
        assert item["sha256"] == hashlib.sha256((local / name).read_bytes()).hexdigest()
    fetched = [Transfer(name, size, download=True) for name, size in FILES.items()]
    filezilla.work_off(back, fetched, lambda: all(_size(back / name) == size for name, size in FILES.items()))
    for name in FILES:
        assert (back / name).read_bytes() == (local / name).read_bytes()


def test_an_upload_during_which_the_program_was_killed_is_resumed_by_the_next(
    gateway: Gateway, case: str, filezilla: Program, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    local.mkdir()
    size = 120_000_000
    with (local / "core").open("wb") as core:
        for _ in range(size // 1_000_000):
            core.write(os.urandom(1_000_000))
    has_begun = lambda: unfinished(gateway, case).get("core", {"offset": 0})["offset"] > 1_000_000  # noqa: E731
    filezilla.work_off(local, [Transfer("core", size)], has_begun)
    assert "core" not in listed(gateway, case), "it was through before it could be killed"
    begun = unfinished(gateway, case)["core"]["id"]
    filezilla.work_off(local, [Transfer("core", size, if_there=RESUME)], lambda: "core" in listed(gateway, case))
    (item,) = gateway.attachments(case)
    with (local / "core").open("rb") as core:
        assert (item["id"], item["sha256"]) == (begun, hashlib.file_digest(core, "sha256").hexdigest())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
