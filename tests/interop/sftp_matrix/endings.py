"""How a transfer may end before its file is whole, and what each client leaves behind: a part is never shown as a file, its bytes
are kept, and somebody can go on from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import contextlib
from dataclasses import dataclass
import hashlib
from pathlib import Path
import random
import signal
import threading
import time
from typing import Any

import asyncssh

from tests.interop.sftp_matrix.checks import World
from tests.interop.sftp_matrix.client import Client, ClientFailed, Never
from tests.interop.sftp_matrix.libraries import AsyncSsh, Paramiko, Ssh2
from tests.interop.sftp_matrix.line import PIECE, Line
from tests.interop.sftp_matrix.one_shot import Curl, Rclone
from tests.interop.sftp_matrix.openssh import Lftp, Scp, Sftp, Sshfs
from tests.interop.sftp_matrix.putty import Pscp, Psftp
from tests.interop.sftp_matrix.replays import WRITE, Packets
from tests.unit.sftp import wire

SIZE = 6_000_077
"""Bytes. More than any client has under way at once."""
SETTLED_S = 1.0
"""Seconds in which a file that is taken for whole would have been shown, where it settles for 0.3 s."""
PATIENCE_S = 60
KEPT = "kept"
RESTS = "rests"


@dataclass(frozen=True)
class Trial:
    """One transfer that is about to end: its client, its line, and the file."""

    client: Client
    line: Line
    source: Path
    remote: str


@dataclass(frozen=True)
class Ending:
    """A column: what happens while the line is held up in the middle of the file. `programs`: only what runs as a process of its
    own can be ended so."""

    title: str
    make: Callable[[Trial], None]
    programs: bool = False
    silent: bool = False


def _interrupt(trial: Trial) -> None:
    _signal(trial, signal.SIGINT)


def _terminate(trial: Trial) -> None:
    _signal(trial, signal.SIGTERM)


def _signal(trial: Trial, which: signal.Signals) -> None:
    trial.client.signal(which)
    time.sleep(0.1)
    trial.line.go_on()


def _kill(trial: Trial) -> None:
    """The program alone: an `ssh` below it sees its input end, and tells EOF on the channel."""
    assert trial.client.running is not None
    trial.client.running.kill()
    time.sleep(0.1)
    trial.line.go_on()


def _disconnect(trial: Trial) -> None:
    trial.line.cut(gently=True)


def _reset(trial: Trial) -> None:
    trial.line.cut(gently=False)


def _nothing(_: Trial) -> None:
    """Nobody says anything any more."""


ENDINGS = {
    "interrupt": Ending("Ctrl-C (SIGINT)", _interrupt, programs=True),
    "terminate": Ending("SIGTERM", _terminate, programs=True),
    "kill": Ending("SIGKILL", _kill, programs=True),
    "disconnect": Ending("the connection is closed", _disconnect),
    "reset": Ending("the connection is reset", _reset),
    "silence": Ending("silence", _nothing, silent=True),
}

PROGRAMS = frozenset({Sftp, Scp, Psftp, Pscp, Lftp, Curl, Rclone, Sshfs, Ssh2})
"""What can be given signals. The others are libraries and replays in this process, or engines that a program drives."""

CLOSES: dict[type[Client], frozenset[str]] = {
    Sftp: frozenset({"interrupt"}),
    Sshfs: frozenset({"interrupt", "terminate", "kill"}),
}
"""Which endings a client tells by a CLOSE, as if the file were whole. With sshfs it is the `cp` that is ended."""


def makes(client: type[Client], ending: Ending) -> bool:
    """Whether this client can come to this end here."""
    return client in PROGRAMS if ending.programs else True


def told(client: type[Client], key: str) -> str:
    """The cell of the page."""
    if not makes(client, ENDINGS[key]):
        return "–"
    return RESTS if key in CLOSES.get(client, ()) else KEPT


def ends(world: World, key: str) -> None:
    """One transfer is ended so. What it leaves is not shown, is kept as it was sent, and is gone on with."""
    ending = ENDINGS[key]
    remote = f"/{key}.bin"
    source = world.file(f"{key}.bin", SIZE, seed=sum(key.encode()))
    hold = random.SystemRandom().randrange(300_000, 900_000)
    with Line(world.account.port, hold_after=hold, silent=ending.silent) as line:
        client = world.through(line.port)
        failures: list[BaseException] = []
        putting = threading.Thread(target=_put, args=(client, source, remote, failures), daemon=True)
        putting.start()
        assert line.held.wait(PATIENCE_S), f"{client.name} sent {line.sent} bytes: {failures}"
        known = _something_is_kept(world, remote, line)
        ending.make(Trial(client, line, source, remote))
        assert line.run_dry(PATIENCE_S), f"the connection has not ended: {line.sent}"
    rested(world, source, remote, at_least=known, closes=key in CLOSES.get(world.kind, ()))
    putting.join(PATIENCE_S)
    assert not putting.is_alive()


def _put(client: Client, source: Path, remote: str, failures: list[BaseException]) -> None:
    try:
        client.put(source, remote)
    except (ClientFailed, OSError) as error:
        failures.append(error)


def rested(world: World, source: Path, remote: str, *, at_least: int, closes: bool) -> None:
    """A part rests at the gateway: not shown, byte for byte what was sent, and whole after somebody went on with it."""
    state = "settling" if closes else "receiving"
    whole = source.read_bytes()
    shown_until = time.monotonic() + SETTLED_S
    before: dict[str, Any] = {}
    while time.monotonic() < shown_until or not before or before["state"] != state:
        found = _unfinished(world, remote)
        assert not _shown(world, remote), f"a part of {found} is shown"
        if found != before:
            shown_until = time.monotonic() + SETTLED_S
        before = found
        assert time.monotonic() < shown_until + PATIENCE_S, f"{state} was expected, and not {found}"
        time.sleep(0.1)
    name = "/" + before["name"]
    assert at_least <= before["offset"] < len(whole)
    assert asyncio.run(_content(world, name)) == whole[: before["offset"]]
    if isinstance(world.kind.resume_put, Never) or not closes:
        asyncio.run(_go_on(world, name, remote, whole))
    else:
        world.client.resume_put(source, remote)
    world.arrived((remote, source))
    assert len(_shown(world, remote)) == 1


def _unfinished(world: World, remote: str) -> dict[str, Any]:
    found = [item for item in world.unfinished() if item["name"] in (remote[1:], remote[1:] + ".filepart")]
    return {key: found[0][key] for key in ("name", "state", "offset")} if found else {}


def _shown(world: World, remote: str) -> list[dict[str, Any]]:
    return [item for item in world.gateway.attachments(world.case) if item["name"].startswith(remote[1:])]


def _something_is_kept(world: World, remote: str, line: Line) -> int:
    """The offset that the gateway tells. ssh2 reads with several threads and writes what each has read as it comes: the first
    bytes of the file may be among the last that are under way, and the line lets more through until they have come."""
    deadline = time.monotonic() + PATIENCE_S
    while not (offset := _unfinished(world, remote).get("offset", 0)):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.2)
        line.let_through(PIECE)
    return offset


async def _opened(world: World) -> Packets:
    return await Packets.open(world.gateway.sftp_port, world.account.user, world.account.password)


async def _content(world: World, name: str) -> bytes:
    session = await _opened(world)
    try:
        facts = await session.facts(name)
        assert facts is not None
        handle = (await session.ask(wire.open_file, name, 1)).handle
        return await session.read(handle, 0, facts["size"])
    finally:
        await session.close()


async def _go_on(world: World, name: str, remote: str, whole: bytes) -> None:
    """As any client resumes: from the size that it is told."""
    session = await _opened(world)
    try:
        facts = await session.facts(name)
        start = facts["size"] if facts else 0
        handle = (await session.ask(wire.open_file, name, WRITE if facts else WRITE | 8)).handle
        await session.write(handle, whole[start:], start)
        await session.ok(wire.close, handle)
        if name != remote:
            await session.ok(lambda number: wire.packet(18, number, wire.string(name), wire.string(remote)))
    finally:
        await session.close()


def ends_in_every_way(world: World, keys: list[str]) -> None:
    """All of them at the same time, each with a file of its own."""
    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(lambda key: ends(world, key), keys))


# Any byte may be the last


def cut_anywhere(world: World, size: int, count: int) -> None:
    """A small file, and the line is cut in its last bytes, in its first, and anywhere: whole, or not there and gone on with."""
    source = world.file(f"{size}.bin", size, seed=size)
    with Line(world.account.port) as line:
        world.through(line.port).put(source, "/whole.bin")
        assert line.run_dry(PATIENCE_S)
        total = line.sent
    world.arrived(("/whole.bin", source))
    any_number = random.SystemRandom().randrange
    cuts = [total - any_number(1, 40), total - any_number(40, 700), any_number(total - size - 900, total)]
    cuts += [any_number(1, total) for _ in range(count - len(cuts))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: _cut(world, source, f"/{each[0]}.bin", each[1]), enumerate(cuts)))


def _cut(world: World, source: Path, remote: str, cut: int) -> None:
    whole = source.read_bytes()
    digest = hashlib.sha256(whole).hexdigest()
    failures: list[BaseException] = []
    with Line(world.account.port, cut_after=cut, gently=bool(cut % 2)) as line:
        _put(world.through(line.port), source, remote, failures)
    deadline = time.monotonic() + SETTLED_S
    while time.monotonic() < deadline:
        shown = _shown(world, remote)
        assert {item["sha256"] for item in shown} <= {digest}, f"shown after {cut} bytes: {shown}"
        time.sleep(0.1)
    found = _unfinished(world, remote)
    if not shown:
        asyncio.run(_go_on(world, "/" + found.get("name", remote[1:]), remote, whole))
    world.arrived((remote, source))
    assert {item["sha256"] for item in _shown(world, remote)} == {digest}


# What a program does that gives up by itself


class Mine(OSError):
    """Something of the program's own goes wrong."""


def _curl_gives_up(trial: Trial) -> None:
    """`--speed-time`"""
    assert isinstance(trial.client, Curl)
    trial.client.fetch("--speed-limit", "1", "--speed-time", "2", "-T", trial.source, trial.client.url(trial.remote))


def _paramiko_fails(trial: Trial) -> None:
    """an exception in `put`"""
    assert isinstance(trial.client, Paramiko)

    def fail(sent: int, _: int) -> None:
        if sent > SIZE // 3:
            raise Mine

    with trial.client.opened() as sftp:
        sftp.put(str(trial.source), trial.remote, callback=fail)


def _asyncssh_is_cancelled(trial: Trial) -> None:
    """`put` is cancelled"""
    assert isinstance(trial.client, AsyncSsh)

    async def work(sftp: asyncssh.SFTPClient) -> None:
        def cancel(_: bytes, __: bytes, sent: int, ___: int) -> None:
            if sent > SIZE // 3:
                putting.cancel()

        putting = asyncio.ensure_future(
            sftp.put(str(trial.source), trial.remote, block_size=65_536, max_requests=4, progress_handler=cancel)
        )
        await asyncio.wait({putting})
        assert putting.cancelled()

    trial.client.do(work)


def _lftp_kills_its_job(trial: Trial) -> None:
    """`kill`, also with `net:limit-rate`"""
    assert isinstance(trial.client, Lftp)
    put = f'put "{trial.source}" -o "{trial.remote}" &'
    # What it sends in a second passes at once; after that its WRITEs are of any length.
    trial.client.tell("set net:limit-rate 0:500000", put, "sleep 6", "kill all", "sleep 1")


GIVE_UP: dict[type[Client], tuple[Callable[[Trial], None], bool]] = {
    Lftp: (_lftp_kills_its_job, False),
    Curl: (_curl_gives_up, True),
    Paramiko: (_paramiko_fails, False),
    AsyncSsh: (_asyncssh_is_cancelled, False),
}
"""How a client gives up, and whether it needs a line that is held up for it. Each then sends CLOSE."""


def gives_up(world: World) -> None:
    act, held = GIVE_UP[world.kind]
    source = world.file("given-up.bin", SIZE, seed=5)
    with Line(world.account.port, hold_after=700_000 if held else None) as line:
        trial = Trial(world.through(line.port), line, source, "/given-up.bin")
        with contextlib.suppress(ClientFailed):
            act(trial)
        line.go_on()
        assert line.run_dry(PATIENCE_S)
    rested(world, source, "/given-up.bin", at_least=1, closes=True)
