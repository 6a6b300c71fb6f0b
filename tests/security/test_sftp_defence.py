"""Who guesses, who floods, and who claims to be somebody else: over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
import socket
import struct
from typing import Any

import asyncssh
import pytest
import uvloop

from eft.sftp_temp.announcement import announces
from tests.unit.sftp.doors import PASSWORD, USER, opened

LOOPBACK = ("127.0.0.0/8",)
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def proxied(port: int, header: bytes) -> socket.socket:
    """A connection as a proxy makes it."""
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(header)
    return made


async def answer(port: int, *sent: bytes, source: str = "127.0.0.1") -> bytes:
    """All that a client is told that sends this and then waits for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    for part in sent:
        writer.write(part)
        await asyncio.sleep(0.01)
    told = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return told


async def the_clients_address_is_the_one_that_the_proxy_names() -> None:
    v2 = V2 + b"\x21\x11" + struct.pack(">H", 12) + socket.inet_aton("192.0.2.7") + bytes(4) + struct.pack(">HH", 1, 2)
    async with opened(proxy_protocol_from=LOOPBACK) as door:
        for header, address in (
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 22\r\n", "192.0.2.1"),
            (b"PROXY TCP6 2001:db8::1 ::1 1000 22\r\n", "2001:db8::1"),
            (v2, "192.0.2.7"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        ):
            door.accounts.addresses.clear()
            async with (
                door.connect(sock=proxied(door.port, header)) as ssh,
                ssh.start_sftp_client() as sftp,
                sftp.open("a", "wb") as file,
            ):
                await file.write(bytes(300_000))
            assert door.accounts.addresses == {address}
            assert {actor.address for actor in door.directory.actors} == {address}
            door.directory.actors.clear()


async def a_header_in_pieces_with_the_version_behind_it_is_taken() -> None:
    async with opened(proxy_protocol_from=LOOPBACK, login_timeout_s=0.5) as door:
        told = await answer(door.port, b"PRO", b"XY TCP4 192.0.2.1 192.0.2.2 1", b"0 22\r\nSSH-2.0-test\r\n")
        assert told.startswith(b"SSH-2.0-eft\r\n")
        assert len(told) > 500  # its KEXINIT
        assert not door.door.connections


async def what_begins_otherwise_is_cut() -> None:
    async with opened(proxy_protocol_from=LOOPBACK) as door:
        for sent in (b"SSH-2.0-OpenSSH_9.2\r\n", b"PROXY TCP4 a b c d\r\n", b"PROXY TCP4 192.0.2.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(sent)
            writer.write_eof()
            try:
                told = await asyncio.wait_for(reader.read(), 5)
            except ConnectionError:
                told = b""
            assert told in (b"", b"SSH-2.0-eft\r\n")
            writer.close()
        assert not door.accounts.asked
        assert not door.door.connections


async def a_header_from_anybody_else_is_not_believed() -> None:
    async with opened(proxy_protocol_from=("192.0.2.0/24",)) as door:
        with pytest.raises((asyncssh.Error, OSError)):
            async with door.connect(sock=proxied(door.port, b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 22\r\n")):
                pass
        assert not door.accounts.asked


async def failures_count_for_the_client_behind_the_proxy() -> None:
    header = b"PROXY TCP4 %s 192.0.2.2 1000 22\r\n"
    async with opened(proxy_protocol_from=LOOPBACK, failed_attempts_per_address=1) as door:
        with pytest.raises(asyncssh.PermissionDenied):
            await door.connect(sock=proxied(door.port, header % b"192.0.2.1"), password="wrong")
        with pytest.raises(asyncssh.DisconnectError, match="failed sign-ins from your address"):
            await door.connect(sock=proxied(door.port, header % b"192.0.2.1"))
        async with door.connect(sock=proxied(door.port, header % b"192.0.2.3")):
            pass


async def who_is_turned_away_is_told_why() -> None:
    async with opened(failed_attempts_per_address=1) as door:
        with pytest.raises(asyncssh.PermissionDenied):
            await door.connect(password="wrong")
        told = await answer(door.port, b"SSH-2.0-test\r\n")
        assert told == b"Too many failed sign-ins from your address. Try again in a minute.\r\n"


async def one_address_does_not_take_the_room_of_others() -> None:
    async with opened(unauthenticated_per_address=2) as door:
        waiting = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(2)]
        for reader, _ in waiting:
            await reader.readline()
        assert (await answer(door.port)).startswith(b"Too many connections from your address")
        async with door.connect(local_addr=("127.0.0.2", 0)):
            pass
        for _, writer in waiting:
            writer.close()


async def guesses_at_one_account_from_many_addresses_are_stopped_and_its_owner_is_not() -> None:
    async with opened(failed_attempts_per_account=3, failed_attempt_forgotten_after_s=600.0) as door:
        for number in (2, 3, 4):
            with pytest.raises(asyncssh.PermissionDenied):
                await door.connect(local_addr=(f"127.0.0.{number}", 0), password="wrong")
        asked = door.accounts.asked
        with pytest.raises(asyncssh.PermissionDenied):
            await door.connect(local_addr=("127.0.0.2", 0), password=PASSWORD)
        assert door.accounts.asked == asked
        async with door.connect(local_addr=("127.0.0.5", 0)) as owner:
            assert owner.get_extra_info("username") == USER


async def each_failure_is_answered_later_than_the_one_before() -> None:
    loop = asyncio.get_running_loop()
    spans = []
    async with opened(failed_attempt_delay_s=0.2) as door:
        for _ in range(3):
            began = loop.time()
            with pytest.raises(asyncssh.PermissionDenied):
                await door.connect(password="wrong", username="eft_us_nobody")
            spans.append(loop.time() - began)
    assert spans[2] - spans[0] > 0.2


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "told",
    [
        the_clients_address_is_the_one_that_the_proxy_names,
        a_header_in_pieces_with_the_version_behind_it_is_taken,
        what_begins_otherwise_is_cut,
        a_header_from_anybody_else_is_not_believed,
        failures_count_for_the_client_behind_the_proxy,
        who_is_turned_away_is_told_why,
        one_address_does_not_take_the_room_of_others,
        guesses_at_one_account_from_many_addresses_are_stopped_and_its_owner_is_not,
        each_failure_is_answered_later_than_the_one_before,
    ],
    ids=lambda told: told.__name__,
)
def test_defence(told: Callable[[], Coroutine[Any, Any, None]], runner: Callable[..., None]) -> None:
    runner(told())


@pytest.mark.parametrize(
    ("address", "listed"),
    [("192.0.2.1", True), ("::ffff:192.0.2.1", True), ("192.0.3.1", False), ("2001:db8::1%eth0", True), ("", False)],
)
def test_proxies_are_known_by_their_networks(address: str, listed: bool) -> None:
    assert announces(address, ("192.0.2.0/24", "2001:db8::/32")) is listed
