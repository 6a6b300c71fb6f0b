"""What a customer who is signed in may ask for: a session with SFTP, and commands that print digests. All else is refused.

Each row of the tables is a request of its own over a real connection, which goes on afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import struct
from typing import Any

import asyncssh
import pytest
import pytest_asyncio

from tests.unit.sftp import wire
from tests.unit.sftp.doors import OpenDoor, opened

PATIENCE_S = 60
DISCONNECT, GLOBAL_REQUEST, REQUEST_FAILURE, CHANNEL_OPEN, OPEN_CONFIRMED, OPEN_FAILURE = 1, 80, 82, 90, 91, 92
CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 98, 99, 100
NUMBER = 40
"""Of a channel that the tests open, as they count."""


class Raw:
    """A connection that is signed in by asyncssh's client, on which packets are then sent as they are."""

    def __init__(self, ssh: asyncssh.SSHClientConnection) -> None:
        self.ssh = ssh
        self._heard: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        private: dict[str, Any] = vars(ssh)
        private["process_packet"] = self._note
        private["_channels"] = _Everything(self._note)

    def _note(self, kind: int, sequence: int, packet: Any) -> bool:
        self._heard.put_nowait((kind, packet.get_remaining_payload()))
        return True

    async def ask(self, kind: int, *fields: bytes) -> tuple[int, bytes]:
        """The next packet that the server sends but WINDOW_ADJUST and its own requests."""
        self.ssh.send_packet(kind, *fields)
        while True:
            told = await asyncio.wait_for(self._heard.get(), PATIENCE_S)
            if told[0] in (DISCONNECT, REQUEST_FAILURE, 81, OPEN_CONFIRMED, OPEN_FAILURE, CHANNEL_SUCCESS, CHANNEL_FAILURE):
                return told

    async def channel(self) -> int:
        """A session channel, by the server's number."""
        kind, told = await self.ask(CHANNEL_OPEN, wire.string("session"), struct.pack(">III", NUMBER, 2**20, 32768))
        assert kind == OPEN_CONFIRMED
        return int(struct.unpack_from(">I", told, 4)[0])

    async def request(self, channel: int, name: str, *fields: bytes) -> int:
        """What a request on a channel is answered with."""
        kind, _ = await self.ask(CHANNEL_REQUEST, struct.pack(">I", channel), wire.string(name), b"\1", *fields)
        return kind


class _Everything(dict[int, Any]):
    """Stands where asyncssh has its channels: every packet for any channel is noted."""

    def __init__(self, note: Callable[[int, int, Any], bool]) -> None:
        super().__init__()
        self.process_packet = note

    def __getitem__(self, number: int) -> Any:
        return self

    def log_received_packet(self, *_: Any) -> None:
        pass


@pytest_asyncio.fixture
async def door() -> AsyncIterator[OpenDoor]:
    async with opened() as made:
        yield made


@pytest_asyncio.fixture
async def raw(door: OpenDoor) -> AsyncIterator[Raw]:
    connection = await door.connect()
    try:
        yield Raw(connection)
    finally:
        connection.abort()


CHANNELS = {
    "direct-tcpip": wire.string("127.0.0.1") + wire.u32(22) + wire.string("127.0.0.1") + wire.u32(1),
    "forwarded-tcpip": wire.string("127.0.0.1") + wire.u32(22) + wire.string("127.0.0.1") + wire.u32(1),
    "direct-streamlocal@openssh.com": wire.string("/tmp/x") + wire.string("") + wire.u32(0),
    "forwarded-streamlocal@openssh.com": wire.string("/tmp/x") + wire.string(""),
    "tun@openssh.com": wire.u32(1) + wire.u32(0),
    "x11": wire.string("127.0.0.1") + wire.u32(1),
    "auth-agent@openssh.com": b"",
    "": b"",
    "no-such-channel@example.com": b"",
}


@pytest.mark.parametrize("kind", CHANNELS)
async def test_no_channel_but_a_session_is_opened(raw: Raw, kind: str) -> None:
    head = struct.pack(">III", NUMBER, 2**20, 32768)
    told, body = await raw.ask(CHANNEL_OPEN, wire.string(kind), head, CHANNELS[kind])
    assert told == OPEN_FAILURE
    assert body
    assert await raw.channel() >= 0


GLOBAL_REQUESTS = {
    "tcpip-forward": wire.string("") + wire.u32(0),
    "streamlocal-forward@openssh.com": wire.string("/tmp/x"),
    "no-such-request@example.com": b"",
}


@pytest.mark.parametrize("name", GLOBAL_REQUESTS)
async def test_nothing_is_forwarded_to_a_customer(raw: Raw, name: str) -> None:
    told, _ = await raw.ask(GLOBAL_REQUEST, wire.string(name), b"\1", GLOBAL_REQUESTS[name])
    assert told == REQUEST_FAILURE
    assert await raw.channel() >= 0


CANCELS = {
    "cancel-tcpip-forward": wire.string("") + wire.u32(8022),
    "cancel-streamlocal-forward@openssh.com": wire.string("/tmp/x"),
}


@pytest.mark.parametrize("name", CANCELS)
async def test_who_ends_a_forwarding_that_never_was_is_sent_away(raw: Raw, name: str) -> None:
    told, _ = await raw.ask(GLOBAL_REQUEST, wire.string(name), b"\1", CANCELS[name])
    assert told == DISCONNECT


CHANNEL_REQUESTS = {
    "shell": b"",
    "pty-req": wire.string("xterm") + struct.pack(">IIII", 80, 24, 0, 0) + wire.string(""),
    "x11-req": b"\0" + wire.string("MIT-MAGIC-COOKIE-1") + wire.string("00" * 16) + wire.u32(0),
    "auth-agent-req@openssh.com": b"",
    "subsystem netconf": wire.string("netconf"),
    "subsystem publickey": wire.string("publickey"),
    "subsystem SFTP": wire.string("SFTP"),
    "subsystem ": wire.string(""),
    "subsystem sftp/../shell": wire.string("sftp/../shell"),
    "xon-xoff": b"\0",
    "no-such-request@example.com": b"",
}


@pytest.mark.parametrize("name", CHANNEL_REQUESTS)
async def test_a_session_gives_no_terminal_no_shell_and_nothing_that_belongs_to_one(raw: Raw, name: str) -> None:
    channel = await raw.channel()
    assert await raw.request(channel, name.split(" ")[0], CHANNEL_REQUESTS[name]) == CHANNEL_FAILURE


COMMANDS = (
    "id",
    "sh",
    "/bin/sh -c id",
    "sftp-server",
    "/usr/lib/openssh/sftp-server",
    "rsync --server . .",
    "cat /etc/passwd",
    "sha256sum -c a",
    "sha256sum --check a",
    "/usr/bin/sha256sum a",
    "sha256sum a; id; 'unclosed",
    "env sha256sum a",
    "",
    "\0",
    "md5",
    "type 'sha256sum'",
    "echo $SHELL",
    "powershell -c Get-FileHash",
)


@pytest.mark.parametrize("command", COMMANDS)
async def test_no_command_is_carried_out_but_those_that_print_digests(raw: Raw, command: str) -> None:
    channel = await raw.channel()
    assert await raw.request(channel, "exec", wire.string(command)) == CHANNEL_FAILURE


async def test_signals_and_windows_of_terminals_are_heard_and_mean_nothing(raw: Raw) -> None:
    channel = await raw.channel()
    assert await raw.request(channel, "subsystem", wire.string("sftp")) == CHANNEL_SUCCESS
    for name, fields in (("signal", wire.string("KILL")), ("window-change", struct.pack(">IIII", 80, 24, 0, 0))):
        assert await raw.request(channel, name, fields) in (CHANNEL_SUCCESS, CHANNEL_FAILURE)
    assert await raw.channel() >= 0


@pytest.mark.parametrize("command", ["scp -t .", "scp -f /etc/passwd", "scp -r -p -t -- /a"])
async def test_scps_own_protocol_leads_nowhere(door: OpenDoor, command: str) -> None:
    before = set(door.directory.files)
    async with door.connect() as connection:
        try:
            done = await asyncio.wait_for(connection.run(command, input="C0644 1 a\nx\0"), PATIENCE_S)
        except asyncssh.ChannelOpenError:
            return
    assert done.exit_status
    assert "root:" not in f"{done.stdout}{done.stderr}"
    assert set(door.directory.files) == before


INJECTIONS = ("sha256sum a; id", "sha256sum $(id)", "sha256sum `id`", "sha256sum a | sh", "sha256sum a > b", "sha256sum a && id")


@pytest.mark.parametrize("command", INJECTIONS)
async def test_what_a_shell_would_make_of_a_command_are_names_here(door: OpenDoor, command: str) -> None:
    async with door.connect() as connection:
        done = await connection.run(command)
    assert done.exit_status == 1
    assert "uid=" not in str(done.stdout) + str(done.stderr)
    assert "b" not in door.directory.files


async def test_the_environment_is_no_customers_business(door: OpenDoor) -> None:
    """asyncssh takes variables, and nothing here reads them: what a command prints is the same."""
    async with door.connect() as connection:
        told = [
            await connection.run("sha256sum", env=env) for env in ({}, {"PATH": "/tmp", "LD_PRELOAD": "/tmp/x.so", "LANG": "C"})
        ]
    assert told[0].stdout == told[1].stdout
    assert told[1].exit_status == 0


async def test_a_session_is_one_thing_once(raw: Raw) -> None:
    channel = await raw.channel()
    assert await raw.request(channel, "subsystem", wire.string("sftp")) == CHANNEL_SUCCESS
    for name, fields in (("subsystem", wire.string("sftp")), ("exec", wire.string("sha256sum")), ("shell", b"")):
        assert await raw.request(channel, name, fields) == CHANNEL_FAILURE


@pytest.mark.parametrize("method", ["hostbased", "gssapi-with-mic"])
async def test_no_other_way_of_signing_in_is_offered(door: OpenDoor, method: str) -> None:
    asked: Callable[[], Awaitable[Any]] = lambda: door.connect(password=None, preferred_auth=method)  # noqa: E731
    with pytest.raises(asyncssh.PermissionDenied):
        await asked()
    assert not door.accounts.asked
