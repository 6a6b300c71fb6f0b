"""The door over real sockets, with asyncssh's client: signing in, limits, cuts."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
import os
from pathlib import Path
import socket
import struct
import time
from typing import Any

import asyncssh
import pytest

from eft.domain.errors import UnsafeSetting, WrongRegion
from eft.sftp_temp import host_keys, transport
from tests.unit.sftp.doors import PASSWORD, USER, keys, opened
from tests.unit.sftp.fakes import StoredFile


async def refused(door: Any, **options: Any) -> str:
    """What the client is told by a door that does not let it in."""
    with pytest.raises((asyncssh.Error, ConnectionError)) as caught:
        async with door.connect(**options):
            pass
    return str(caught.value)


# Signing in


async def test_a_password_signs_in_and_leads_to_the_case() -> None:
    async with opened() as door, door.connect() as connection, connection.start_sftp_client() as sftp:
        assert sorted(await sftp.listdir("/")) == ["from-support"]
        assert door.directory.cases == {"case-1"}
        assert door.accounts.addresses == {"127.0.0.1"}


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
async def test_both_ways_of_giving_a_password_work(method: str) -> None:
    async with opened() as door, door.connect(preferred_auth=method) as connection:
        assert connection.get_extra_info("username") == USER


async def test_the_prompt_is_the_one_that_clients_know() -> None:
    prompts = []

    class Client(asyncssh.SSHClient):
        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts_: Any) -> list[str]:
            prompts.extend(prompts_)
            return [PASSWORD]

    async with opened() as door, door.connect(client_factory=Client, preferred_auth="keyboard-interactive"):
        assert prompts == [("Password: ", False)]


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "eft_us_nobody"}, {"password": ""}])
async def test_wrong_credentials_are_refused(wrong: dict[str, str]) -> None:
    async with opened() as door:
        assert "denied" in await refused(door, **wrong)


async def test_an_expired_account_is_refused_to_the_second() -> None:
    async with opened() as door:
        door.clock.ahead = timedelta(hours=120)
        assert "denied" in await refused(door)


async def test_an_account_of_another_region_is_told_where_to_go() -> None:
    banners = []

    class Client(asyncssh.SSHClient):
        def auth_banner_received(self, msg: str, lang: str) -> None:
            banners.append(msg)

    async with opened() as door:
        door.accounts.raises["eft_emea_x"] = WrongRegion("emea", "sftp://eftgateway-emea.example:2222")
        assert "denied" in await refused(door, client_factory=Client, username="eft_emea_x")
        assert "eftgateway-emea.example" in banners[0]


async def test_an_error_in_looking_the_account_up_is_not_a_sign_in() -> None:
    async with opened() as door:
        door.accounts.raises[USER] = RuntimeError("the database is gone")
        assert "denied" in await refused(door)


@pytest.mark.parametrize("method", ["publickey", "hostbased", "none", "gssapi-with-mic"])
async def test_nothing_but_a_password_is_taken(method: str) -> None:
    async with opened() as door:
        key = asyncssh.generate_private_key("ssh-ed25519")
        await refused(door, preferred_auth=method, client_keys=[key], password=None)
        assert door.accounts.asked == 0


async def test_a_connection_has_six_attempts() -> None:
    tries = 0

    class Client(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            nonlocal tries
            tries += 1
            return f"wrong-{tries}"

    async with opened() as door:
        assert "attempts" in await refused(door, client_factory=Client, password=None, preferred_auth="password")
        assert door.accounts.asked == 6


async def test_failures_of_an_address_are_remembered_across_connections() -> None:
    async with opened(failed_attempts_per_address=3, failed_attempt_forgotten_after_s=2.0) as door:
        for _ in range(3):
            await refused(door, password="wrong")
        asked = door.accounts.asked
        await refused(door)
        assert door.accounts.asked == asked
        await asyncio.sleep(2.1)
        async with door.connect():
            pass


async def test_a_failed_attempt_is_answered_late() -> None:
    async with opened(failed_attempt_delay_s=0.3) as door:
        began = time.monotonic()
        await refused(door, password="wrong")
        assert time.monotonic() - began >= 0.3


async def test_who_does_not_sign_in_is_sent_away() -> None:
    async with opened(login_timeout_s=0.3) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        assert (await asyncio.wait_for(reader.read(), 3)).startswith(b"SSH-2.0-eft\r\n")
        writer.close()


async def test_connections_that_have_not_signed_in_are_limited() -> None:
    async with opened(unauthenticated=3) as door:
        waiting = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(3)]
        for reader, _ in waiting:
            await reader.readline()
        await refused(door)
        waiting[0][1].close()
        await asyncio.sleep(0.1)
        async with door.connect():
            pass
        for _, writer in waiting:
            writer.close()


async def test_connections_in_all_are_limited() -> None:
    async with opened(connections=2) as door, door.connect(), door.connect():
        await refused(door)


# What is offered


async def test_only_sftp_is_offered() -> None:
    async with opened() as door, door.connect() as connection:
        for ask in (
            lambda: connection.run("id", check=True),
            lambda: connection.create_process(),
            lambda: connection.create_process(subsystem="netconf"),
        ):
            with pytest.raises(asyncssh.ChannelOpenError):
                await asyncio.wait_for(ask(), 3)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", door.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, "127.0.0.1", door.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/tmp/x")
        async with connection.start_sftp_client() as sftp:
            assert await sftp.exists("/from-support")


async def test_channels_of_a_connection_are_limited() -> None:
    async with opened(channels_per_connection=2) as door, door.connect() as connection:
        first, _second = await connection.start_sftp_client(), await connection.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()
        first.exit()
        await first.wait_closed()
        await asyncio.sleep(0.05)
        for _ in range(5):
            async with connection.start_sftp_client() as sftp:
                assert await sftp.exists("/")
            await sftp.wait_closed()
            await asyncio.sleep(0.02)
        (live,) = door.door._connections
        assert len(live._sessions) <= 2


async def test_algorithms_are_those_that_are_set() -> None:
    """Read from the server's own KEXINIT, RFC 4253 §7.1."""
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await reader.readline()
        writer.write(b"SSH-2.0-test\r\n")
        length = int.from_bytes(await reader.readexactly(4), "big")
        body = (await reader.readexactly(length))[1:]
        writer.close()
    assert body[0] == 20
    lists, position = [], 17
    for _ in range(10):
        size = int.from_bytes(body[position : position + 4], "big")
        lists.append(body[position + 4 : position + 4 + size].decode().split(","))
        position += 4 + size
    exchange, host_key, *rest = lists
    assert "kex-strict-s-v00@openssh.com" in exchange
    assert [name for name in exchange if not name.startswith(("kex-strict", "ext-info"))] == list(transport.KEY_EXCHANGE)
    assert host_key == ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]
    assert rest[0] == rest[1] == list(transport.CIPHERS)
    assert rest[2] == rest[3] == list(transport.MACS)
    assert rest[4] == rest[5] == ["none"]
    offered = ",".join(name for kind in lists for name in kind)
    assert not any(weak in offered for weak in ("sha1", "cbc", "nistp", "group1", "ssh-rsa", "arcfour"))


# Cuts


async def test_a_live_session_is_cut_at_the_end_of_its_account_within_a_second() -> None:
    async with opened() as door, door.connect() as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("a", "wb")
        await file.write(b"kept")
        door.clock.ahead = timedelta(hours=120)
        began = time.monotonic()
        await asyncio.wait_for(connection.wait_closed(), 2)
        assert time.monotonic() - began < 1
        assert bytes(door.directory.files["a"].data) == b"kept"
        assert door.directory.receptions[0].released
        assert door.directory.receptions[0].settled is False


async def test_nothing_is_carried_out_after_the_cut_though_the_client_goes_on() -> None:
    async with opened(farewell_s=0.5) as door, door.connect() as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("a", "wb")
        await file.write(b"kept")
        door.clock.ahead = timedelta(hours=120)
        await asyncio.sleep(0.3)
        for going_on in (file.write(b" and more"), sftp.mkdir("b")):
            with pytest.raises((asyncssh.Error, OSError)):
                await asyncio.wait_for(going_on, 2)
        assert bytes(door.directory.files["a"].data) == b"kept"
        assert "b" not in door.directory.directories


@pytest.mark.parametrize("sweep_s", [0.1, 0.5])
async def test_a_revoked_account_is_cut_within_two_seconds(sweep_s: float) -> None:
    async with opened(sweep_s=sweep_s) as door, door.connect() as connection:
        door.accounts.revoked.add(f"id-of-{USER}")
        await asyncio.wait_for(connection.wait_closed(), 2)


async def test_a_slow_database_does_not_delay_an_expiry() -> None:
    async with opened() as door, door.connect() as connection:

        async def slow(ids: Any) -> set[str]:
            await asyncio.sleep(60)
            return set(ids)

        door.accounts.alive = slow  # type: ignore[method-assign]
        await asyncio.sleep(1.2)
        door.clock.ahead = timedelta(hours=120)
        await asyncio.wait_for(connection.wait_closed(), 1)


async def test_who_has_run_out_is_told_so_even_if_the_database_sees_it_first() -> None:
    async with opened(sweep_s=0.5) as door, door.connect() as connection, connection.start_sftp_client() as sftp:
        asked = asyncio.Event()
        alive = door.accounts.alive

        async def runs_out_meanwhile(ids: Any) -> set[str]:
            door.clock.ahead = timedelta(hours=120)
            asked.set()
            return await alive(ids)

        door.accounts.alive = runs_out_meanwhile  # type: ignore[method-assign]
        await asyncio.wait_for(asked.wait(), 3)
        with pytest.raises(asyncssh.Error, match="expired at"):
            while True:
                await sftp.stat("/")
                await asyncio.sleep(0.02)


async def test_other_accounts_live_on() -> None:
    async with opened() as door:
        door.accounts.add("eft_us_other", "other", "case-2")
        async with door.connect() as first, door.connect(username="eft_us_other", password="other") as second:
            door.accounts.revoked.add(f"id-of-{USER}")
            await asyncio.wait_for(first.wait_closed(), 2)
            async with second.start_sftp_client() as sftp:
                assert await sftp.exists("/")
            assert door.directory.cases == {"case-2"}


async def test_stopping_keeps_what_was_sent_and_settles_nothing() -> None:
    async with opened() as door:
        connection = await door.connect()
        sftp = await connection.start_sftp_client()
        file = await sftp.open("a", "wb")
        await file.write(b"kept")
        await door.door.stop()
        assert door.directory.receptions[0].released
        assert door.directory.receptions[0].settled is False
        await asyncio.wait_for(connection.wait_closed(), 2)


@pytest.mark.parametrize("ending", ["abort", "close", "channel-eof", "reset"])
async def test_no_ending_settles_an_open_file(ending: str) -> None:
    async with opened() as door:
        connection = await door.connect()
        sftp = await connection.start_sftp_client()
        file = await sftp.open("a", "wb")
        await file.write(b"kept")
        match ending:
            case "abort":
                connection.abort()
            case "close":
                connection.close()
            case "channel-eof":
                sftp.exit()
            case "reset":
                linger = struct.pack("ii", 1, 0)
                connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.abort()
        reception = door.directory.receptions[0]
        for _ in range(200):
            if reception.released:
                break
            await asyncio.sleep(0.01)
        assert reception.released
        assert reception.settled is False
        connection.abort()


# Peers that misbehave


async def test_a_peer_that_does_not_read_costs_little_and_stops_nobody() -> None:
    async with opened() as door, door.connect(window=2**31 - 1) as greedy, door.connect() as other:
        door.directory.files["a"] = StoredFile(bytearray(64 * 2**20))
        async with greedy.start_sftp_client() as reading:
            file = await reading.open("a", "rb")
            transport_of_greedy = vars(greedy)["_transport"]
            transport_of_greedy.pause_reading()
            tasks = [asyncio.ensure_future(file.read(255 * 1024, n * 255 * 1024)) for n in range(200)]
            await asyncio.sleep(0.5)
            flows = [live._flow for live in door.door._connections]
            assert any(flow is not None and flow.congested for flow in flows)
            unsent = max(flow._transport.get_write_buffer_size() for flow in flows if flow is not None)
            assert unsent < 2 * 2**20
            async with other.start_sftp_client() as sftp:
                assert await sftp.exists("a")
            transport_of_greedy.resume_reading()
            assert sum(map(len, await asyncio.gather(*tasks))) == 200 * 255 * 1024


async def test_a_peer_that_fills_its_environment_is_sent_away() -> None:
    async with opened() as door, door.connect() as connection:
        with contextlib.suppress(asyncssh.Error, OSError):
            await connection.start_sftp_client(env={f"NAME{n}": "x" * 1000 for n in range(100)})
        await asyncio.wait_for(connection.wait_closed(), 2)


async def test_garbage_on_the_channel_ends_the_connection() -> None:
    async with opened() as door, door.connect() as connection:
        channel, _ = await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp", encoding=None)
        channel.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(connection.wait_closed(), 2)


async def test_noise_before_the_handshake_ends_the_connection() -> None:
    async with opened() as door:
        for noise in (os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n", b"SSH-1.5-old\r\n", b"SSH-2.0-x\r\n" + os.urandom(300)):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(noise)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 3)
            writer.close()
        async with door.connect():
            pass


# Host keys


def test_host_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    made = host_keys.generate_host_keys(tmp_path / "keys")
    before = [path.read_bytes() for path in made]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o600, 0o600]
    assert host_keys.generate_host_keys(tmp_path / "keys") == made
    assert [path.read_bytes() for path in made] == before
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["ssh_host_ed25519_key", "ssh_host_rsa_key"]
    assert all(text.startswith("SHA256:") for text in host_keys.fingerprints(made))
    assert asyncssh.read_private_key(str(made[1])).pyca_key.key_size == 3072  # type: ignore[attr-defined]


def test_a_host_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(keys()[0].read_bytes())
    path.chmod(0o644)
    with pytest.raises(UnsafeSetting, match="chmod"):
        host_keys.load([path])


@pytest.mark.parametrize("files", [[], ["missing"], ["broken"]])
def test_without_a_usable_host_key_the_door_stays_shut(tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "broken").write_text("no key")
    (tmp_path / "broken").chmod(0o600)
    with pytest.raises(UnsafeSetting):
        host_keys.load([tmp_path / name for name in files])
