"""Limits that nobody notices who means well: keys are renewed, lengths and silence have an end, guesses cost the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
import statistics
import struct
import threading
import time
from typing import Any

import asyncssh
import pytest

from eft.accounts.passwords import Passwords
from eft.domain.account import TemporaryAccount
from eft.domain.errors import SignInRefused
from eft.sftp_temp import codec
from tests.fixtures.services import STAFF, running_services
from tests.security.relay import packet
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, opened
from tests.unit.sftp.fakes import FakeAccounts, FakeClock, StoredFile

PATIENCE_S = 60
CIPHERS = ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")


def server_side(door: OpenDoor) -> dict[str, Any]:
    """What asyncssh has of the door's one connection."""
    (live,) = door.door._connections
    return vars(live._ssh)


# Renewing keys


async def test_keys_are_renewed_after_a_gigabyte_and_after_an_hour() -> None:
    async with opened() as door, door.connect():
        private = server_side(door)
        assert (private["_rekey_bytes"], private["_rekey_seconds"]) == (2**30, 3600)


@pytest.mark.parametrize("why", ["bytes", "time"])
@pytest.mark.parametrize("cipher", CIPHERS)
async def test_the_server_renews_keys_by_itself_in_the_middle_of_a_download(cipher: str, why: str) -> None:
    data = bytes(range(256)) * 8192
    async with opened() as door, door.connect(encryption_algs=[cipher]) as connection, connection.start_sftp_client() as sftp:
        door.directory.files["a"] = StoredFile(bytearray(data))
        private = server_side(door)
        first = private["_send_encryption"]
        if why == "bytes":
            private["_rekey_bytes"] = 200_000
        else:
            private["_rekey_time"] = 0.0
        async with sftp.open("a", "rb") as file:
            assert await file.read() == data
        assert private["_send_encryption"] is not first
        assert private["_kex_complete"]
        if why == "bytes":
            assert private["_rekey_bytes_sent"] < 1_000_000


# Lengths


@pytest.mark.parametrize("length", [2**18 + 2**16, 2**31, 2**32 - 1])
async def test_a_packet_that_says_that_it_is_huge_ends_the_connection_before_it_comes(length: int) -> None:
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"SSH-2.0-test\r\n" + struct.pack(">IB", length, 4) + bytes(100))
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        await until(lambda: not door.door.connections)


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_a_huge_packet_of_who_is_signed_in_ends_the_connection(cipher: str) -> None:
    async with opened() as door, door.connect(encryption_algs=[cipher]) as connection:
        connection.send_packet(2, struct.pack(">I", 2**19) + bytes(2**19))
        await asyncio.wait_for(connection.wait_closed(), PATIENCE_S)


async def test_a_version_line_has_an_end() -> None:
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"SSH-2.0-" + b"x" * 100_000)
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        await until(lambda: not door.door.connections)


@pytest.mark.parametrize("length", [codec.PACKET_BYTES + 1, 2**31, 2**32 - 1])
async def test_an_sftp_packet_that_says_that_it_is_huge_ends_the_connection_before_it_comes(length: int) -> None:
    async with opened() as door, door.connect() as connection:
        channel, _ = await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp", encoding=None)
        channel.write(struct.pack(">IBI", 5, 1, 3) + struct.pack(">IB", length, 6))
        await asyncio.wait_for(connection.wait_closed(), PATIENCE_S)


# Silence


@pytest.mark.parametrize(
    "beginning", [b"", b"SSH-2.0-test\r\n", b"SSH-2.0-test\r\n" + packet(b"\x02\0\0\0\0"), b"PROXY TCP4 192.0"]
)
async def test_who_falls_silent_before_signing_in_is_sent_away(beginning: bytes) -> None:
    listed = ("127.0.0.0/8",) if beginning.startswith(b"PROXY") else ()
    async with opened(login_timeout_s=0.5, proxy_protocol_from=listed) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(beginning)
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        await until(lambda: not door.door.connections)


# Guessing


class HashingAccounts(FakeAccounts):
    """One account, whose password is checked as eft does it."""

    def __init__(self, passwords: Passwords) -> None:
        super().__init__(FakeClock())
        self._passwords = passwords
        self.add(USER, PASSWORD)

    async def authenticate(self, username: str, password: str, address: str) -> TemporaryAccount:
        if password == PASSWORD:
            return self.accounts[username][1]
        if not await self._passwords.matches(password, None):
            raise SignInRefused
        raise AssertionError


async def test_a_sign_in_that_waits_for_its_hash_delays_no_other_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hash ends before another session has done its work: on the loop's own thread that would be never."""
    passwords, worked, hashing = Passwords(), threading.Event(), threading.Event()
    threads = set()

    def work(password: str, known: str | None) -> str:
        threads.add(threading.get_ident())
        hashing.set()
        assert worked.wait(PATIENCE_S)
        return ""

    monkeypatch.setattr(passwords, "_work", work)
    async with opened() as door:
        door.door.accounts = HashingAccounts(passwords)
        guesses = [asyncio.ensure_future(refused(door)) for _ in range(4)]
        await until(hashing.is_set)
        async with door.connect() as connection, connection.start_sftp_client() as sftp, sftp.open("a", "wb") as file:
            await file.write(bytes(300_000))
        assert not any(guess.done() for guess in guesses)
        worked.set()
        await asyncio.gather(*guesses)
    assert threading.get_ident() not in threads
    passwords.close()


async def refused(door: OpenDoor) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await door.connect(password="wrong")


async def test_an_unknown_user_takes_as_long_as_a_wrong_password(tmp_path: Path) -> None:
    """In CPU time of this process, in turns, by the median: what else the machine does makes no difference."""
    async with running_services(tmp_path) as services:
        await services.open_case()
        known = (await services.accounts.issue("C-1", STAFF)).account.username
        taken: dict[str, list[float]] = {known: [], "eft_us_nobodyisthis": [], "root": []}
        for _ in range(15):
            for name, spans in taken.items():
                began = time.process_time()
                with pytest.raises(SignInRefused):
                    await services.accounts.authenticate(name, "aaaaa-bbbbb-ccccc-ddddd-eeeee", "192.0.2.1")
                spans.append(time.process_time() - began)
        medians = {name: statistics.median(spans) for name, spans in taken.items()}
    assert max(medians.values()) < 1.5 * min(medians.values()), medians
    assert min(medians.values()) > 0.004, medians


async def until(true: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
