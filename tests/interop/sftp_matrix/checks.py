"""What it means that a client can do something: one check for each column of docs/sftp-clients.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import random
import secrets
import time
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_matrix.client import Account, Client, ClientFailed, Never
from tests.interop.sftp_matrix.line import Line

SIZE = 6_000_000
OVERHEAD = 400_000
"""Bytes. What a session costs besides the file's own: key exchange, listings, requests, and what is under way at its end."""
LONG_AGO = 1_600_000_000
SMALL_FILES = 300
PATIENCE_S = 60


class World:
    """A case of one client's own, at a gateway that others use too."""

    def __init__(self, gateway: Gateway, kind: type[Client], work: Path) -> None:
        self.gateway, self.kind, self.work = gateway, kind, work
        self.case = gateway.open_case(f"CS-{secrets.token_hex(6)}")
        told = gateway.call("POST", f"cases/{self.case}/sftp-account")
        self.account = Account(gateway.sftp_port, told["username"], told["password"], tuple(told["host_key_fingerprints"]))
        self.client = self.through(gateway.sftp_port)

    def through(self, port: int) -> Client:
        """The client, on a line of its own."""
        account = Account(port, self.account.user, self.account.password, self.account.fingerprints)
        return self.kind(self.work / f"client-{port}", account)

    def file(self, name: str, size: int = SIZE, *, seed: int = 1) -> Path:
        path = self.work / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(seed).randbytes(size))
        return path

    def arrived(self, *paths: tuple[str, Path]) -> list[dict[str, Any]]:
        """Waits until each remote path holds what the local file holds, published. All attachments of the case, newest first."""
        wanted = {remote[1:]: hashlib.sha256(local.read_bytes()).hexdigest() for remote, local in paths}
        deadline = time.monotonic() + PATIENCE_S
        wait_s = 0.05
        while True:
            found = self.gateway.attachments(self.case)
            newest = {item["name"]: item["sha256"] for item in reversed(found)}
            if wanted.items() <= newest.items():
                return found
            assert time.monotonic() < deadline, (wanted, newest, self.unfinished())
            # Asking costs the gateway and this process more than many a cell does.
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 0.4)

    def unfinished(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.gateway.call("GET", f"cases/{self.case}/uploads")["items"]
        return items


def uploads(world: World) -> None:
    files = [
        (remote, world.file(remote[1:], size, seed=size)) for remote, size in (("/odd", 70_001), ("/file", world.client.size))
    ]
    for remote, local in files:
        world.client.put(local, remote)
    found = world.arrived(*files)
    assert {(item["source"], item["completeness"]) for item in found} == {("sftp", "closed")}


def downloads(world: World) -> None:
    source = world.file("file", world.client.size)
    world.gateway.call("POST", f"cases/{world.case}/attachments?name=fix.bin", source.read_bytes())
    world.client.get("/from-support/fix.bin", world.work / "back")
    assert (world.work / "back").read_bytes() == source.read_bytes()


def trees(world: World) -> None:
    tree = world.work / "local" / "tree"
    for number in range(12):
        below = tree / f"d{number % 3}" / "deeper"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{number}").write_bytes(random.Random(number).randbytes(number * 1000))
    world.client.put_tree(tree, "/tree")
    held = {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    world.arrived(*((f"/tree/{name}", tree / name) for name in held))
    back = world.work / "back"
    world.client.get_tree("/tree", back)
    assert {path.relative_to(back): path.read_bytes() for path in back.rglob("*") if path.is_file()} == held


def overwriting(world: World) -> None:
    """Both are kept: the newer is what the client sees, the older is staff's until the purge."""
    first, second = world.file("first", 100_001), world.file("second", 90_001, seed=2)
    os.utime(first, (LONG_AGO, LONG_AGO))
    world.client.put(first, "/a")
    # scp does not truncate: until the first has settled nobody can tell its second from a resume.
    world.arrived(("/a", first))
    world.client.overwrite(second, "/a")
    found = world.arrived(("/a", second))
    assert [item["size"] for item in found if item["name"] == "a"] == [90_001, 100_001]
    world.client.get("/a", world.work / "back")
    assert (world.work / "back").read_bytes() == second.read_bytes()


def renaming_over(world: World) -> None:
    old, new = world.file("old", 100_001), world.file("new", 90_001, seed=2)
    world.client.put(old, "/a")
    world.client.put(new, "/b.tmp")
    world.arrived(("/a", old))
    world.client.rename_over("/b.tmp", "/a")
    found = world.arrived(("/a", new))
    assert sorted((item["name"], item["size"]) for item in found) == [("a", 90_001), ("a", 100_001)]
    world.client.get("/a", world.work / "back")
    assert (world.work / "back").read_bytes() == new.read_bytes()


def resuming_an_upload(world: World) -> None:
    """A partial file is never among the attachments, its bytes are kept, and only the rest is sent again."""
    source = world.file("file.bin")
    for number in range(2):
        remote = f"/file-{number}.bin"
        kept = 0
        while not kept:  # a reset throws away what the gateway had not read yet, which on a busy machine may be all
            cut = random.SystemRandom().randrange(700_000, SIZE - 500_000)
            with Line(world.account.port, cut_after=cut, gently=number == 1) as line, pytest.raises(ClientFailed):
                world.through(line.port).put(source, remote)
            kept = _kept(world, cut)
        with Line(world.account.port) as line:
            world.through(line.port).resume_put(source, remote)
            sent = line.sent
        assert sent < SIZE - kept + OVERHEAD, f"{kept} bytes were kept, and {sent} sent after that"
        world.arrived((remote, source))
    assert sorted(item["name"] for item in world.gateway.attachments(world.case)) == ["file-0.bin", "file-1.bin"]


def _kept(world: World, cut: int) -> int:
    """The bytes of the upload that was cut, once nobody writes it any more."""
    before = -1
    deadline = time.monotonic() + PATIENCE_S
    settled = time.monotonic() + 5
    while True:
        unfinished = [item for item in world.unfinished() if item["state"] == "receiving"]
        assert all(item["size"] == SIZE for item in world.gateway.attachments(world.case)), "shown as complete"
        kept = unfinished[0]["offset"] if unfinished else 0
        if kept == before and (kept or time.monotonic() > settled):
            assert kept <= cut
            return kept
        assert time.monotonic() < deadline, world.unfinished()
        before = kept
        time.sleep(0.3)


def beginning_anew_after_a_cut(world: World) -> None:
    """For clients that cannot resume: one attachment comes of it, and the part is never shown."""
    source = world.file("file.bin")
    cut = random.SystemRandom().randrange(700_000, SIZE - 500_000)
    with Line(world.account.port, cut_after=cut) as line, pytest.raises(ClientFailed):
        world.through(line.port).put(source, "/file.bin")
    assert world.gateway.attachments(world.case) == []
    world.client.put(source, "/file.bin")
    found = world.arrived(("/file.bin", source))
    assert [(item["name"], item["size"]) for item in found] == [("file.bin", SIZE)]


def resuming_a_download(world: World) -> None:
    source = world.file("file.bin")
    world.gateway.call("POST", f"cases/{world.case}/attachments?name=fix.bin", source.read_bytes())
    have = random.SystemRandom().randrange(1_000_000, SIZE - 1_000_000)
    (world.work / "back").write_bytes(source.read_bytes()[:have])
    with Line(world.account.port) as line:
        world.through(line.port).resume_get("/from-support/fix.bin", world.work / "back")
        received = line.received
    assert (world.work / "back").read_bytes() == source.read_bytes()
    assert received < SIZE - have + OVERHEAD


def keeping_times(world: World) -> None:
    source = world.file("old", 70_001)
    os.utime(source, (LONG_AGO, LONG_AGO))
    world.client.put_with_time(source, "/old")
    world.arrived(("/old", source))
    world.client.get_with_time("/old", world.work / "back")
    assert int((world.work / "back").stat().st_mtime) == LONG_AGO


NAMES = ("a b  c 'd'.log", "Größe-日本-😀.bin", "n" * 251 + ".bin", "ü" * 125 + ".long")


def names(world: World) -> None:
    files = [(f"/{name}", world.file(name, 1000 + number, seed=number)) for number, name in enumerate(NAMES)]
    for remote, local in files:
        world.client.put(local, remote)
    world.arrived(*files)
    for number, (remote, local) in enumerate(files):
        world.client.get(remote, world.work / f"back{number}")
        assert (world.work / f"back{number}").read_bytes() == local.read_bytes()


def many_small_files(world: World, count: int = SMALL_FILES) -> None:
    many = world.work / "local" / "many"
    many.mkdir(parents=True)
    for number in range(count):
        (many / f"f{number:0{len(str(count - 1))}}").write_bytes(random.Random(number).randbytes(number % 97 * 43))
    world.client.put_many(many, "/many")
    world.arrived(*((f"/many/{path.name}", path) for path in many.iterdir()))


def at_once(world: World) -> None:
    files = [(world.file(f"f{number}", 1_000_000 + number, seed=number), f"/f{number}") for number in range(4)]
    world.client.put_at_once(files)
    world.arrived(*((remote, local) for local, remote in files))


def password(world: World) -> None:
    world.client.password()


def keyboard_interactive(world: World) -> None:
    world.client.keyboard_interactive()


@dataclass(frozen=True)
class Capability:
    """A column: what it is called, what a client must offer for it, and what is checked. `instead`: what is checked where the
    client does not offer it."""

    title: str
    operations: tuple[str, ...]
    check: Callable[[World], None]
    instead: Callable[[World], None] | None = None


CAPABILITIES = {
    "upload": Capability("Upload", ("put",), uploads),
    "download": Capability("Download", ("get",), downloads),
    "tree": Capability("A directory tree", ("put_tree", "get_tree"), trees),
    "overwrite": Capability("Overwrite", ("overwrite",), overwriting),
    "rename-over": Capability("Rename over", ("rename_over",), renaming_over),
    "resume-upload": Capability(
        "Resume an upload that was cut anywhere", ("resume_put",), resuming_an_upload, beginning_anew_after_a_cut
    ),
    "resume-download": Capability("Resume a download", ("resume_get",), resuming_a_download),
    "times": Capability("Times of modification", ("put_with_time", "get_with_time"), keeping_times),
    "names": Capability("Names with spaces, Unicode, 255 bytes", ("put", "get"), names),
    "small-files": Capability("Small files by the hundred", ("put_many",), many_small_files),
    "at-once": Capability("Connections in parallel", ("put_at_once",), at_once),
    "password": Capability("password", ("password",), password),
    "keyboard-interactive": Capability("keyboard-interactive", ("keyboard_interactive",), keyboard_interactive),
}


def cells(*clients: type[Client]) -> list[Any]:
    """The parameters of a test of these clients: every cell of the page that can be tried."""
    found = []
    for client in clients:
        for key, capability in CAPABILITIES.items():
            offered = not any(isinstance(getattr(client, each), Never) for each in capability.operations)
            check = capability.check if offered else capability.instead
            if check is not None and key not in client.not_tried:
                marks = pytest.mark.needs(*client.programs)
                found.append(pytest.param(client, check, id=f"{client.name}-{key}".replace(" ", "-"), marks=marks))
    return found
