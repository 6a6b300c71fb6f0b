"""The faster packet layer under real connections: every cipher, key exchanges in between, garbage, and peers that split as they
like. Where it says `pieces`, the same holds with the layer off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import os
import socket
import time
from typing import Any

import asyncssh
import pytest
import uvloop

from eft.sftp_temp import packet_layer
from eft.sftp_temp.packet_layer import PIECES
from eft.sftp_temp.transport import CIPHERS, MACS
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, opened

PAIRS = [(cipher, mac) for cipher in CIPHERS for mac in (MACS if cipher.endswith("-ctr") else MACS[:1])]
CONTENT = os.urandom(1_500_000)


async def round_trip(door: OpenDoor, *, prefix: str = "/", **options: Any) -> None:
    async with door.connect(**options) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open(f"{prefix}a", "wb") as file:
            for start in range(0, len(CONTENT), 70_001):
                await file.write(CONTENT[start : start + 70_001])
        async with sftp.open(f"{prefix}a", "rb") as file:
            assert await file.read() == CONTENT
        async with sftp.open(f"{prefix}b", "wb") as file:
            for start in range(0, 100_000, 4096):
                await file.write(CONTENT[start : min(start + 4096, 100_000)])
        assert (await sftp.stat(f"{prefix}b")).size == 100_000


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
async def test_every_cipher_carries_a_file_both_ways(cipher: str, mac: str) -> None:
    async with opened() as door:
        await round_trip(door, encryption_algs=[cipher], mac_algs=[mac])


@pytest.mark.parametrize(
    "left", [frozenset(), *({piece} for piece in sorted(PIECES)), *(PIECES - {piece} for piece in sorted(PIECES))]
)
async def test_any_set_of_pieces_works(left: frozenset[str]) -> None:
    async with opened(packet_pieces=frozenset(left)) as door:
        for cipher in ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"):
            await round_trip(door, encryption_algs=[cipher])


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
@pytest.mark.parametrize("pieces", [PIECES, frozenset[str]()], ids=["fast", "library"])
async def test_keys_are_exchanged_again_in_the_middle_by_the_client(cipher: str, pieces: frozenset[str]) -> None:
    async with opened(packet_pieces=pieces) as door:
        await round_trip(door, encryption_algs=[cipher], rekey_bytes=150_000)


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
async def test_keys_are_exchanged_again_in_the_middle_by_the_server(cipher: str) -> None:
    async with opened() as door, door.connect(encryption_algs=[cipher]) as connection:
        (live,) = door.door._connections
        private = vars(live._ssh)
        private["_rekey_bytes"] = 100_000
        kept = private["_server_kexinit"]
        async with connection.start_sftp_client() as sftp:
            async with sftp.open("/a", "wb") as file:
                await file.write(CONTENT)
            async with sftp.open("/a", "rb") as file:
                assert await file.read() == CONTENT
        assert private["_server_kexinit"] != kept


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_on_both_event_loops(run: Callable[..., None]) -> None:
    async def work() -> None:
        async with opened() as door:
            await asyncio.gather(*(round_trip(door, prefix=f"/{number}") for number in range(3)))

    run(work())


async def test_the_fast_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the other tests would test the library."""
    seen = []
    plain = packet_layer._Receiver._is_data

    def counted(self: Any, body: bytes, channels: dict[int, Any]) -> bool:
        seen.append(plain(self, body, channels))
        return seen[-1]

    monkeypatch.setattr(packet_layer._Receiver, "_is_data", counted)
    async with opened() as door:
        await round_trip(door)
    assert sum(seen) > 0.9 * len(seen) > 20


class Cut(asyncio.Protocol):
    """Between client and door: passes on what the client sends in pieces of `sizes`, and changes it on the way. `nagle`: a piece
    that does not fill a segment waits until the last such piece is acknowledged."""

    def __init__(
        self, port: int, sizes: list[int], change: Callable[[bytearray], None] | None = None, *, nagle: bool = False
    ) -> None:
        self.port, self.sizes, self.change, self.nagle = port, sizes, change, nagle

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._one, "127.0.0.1", 0)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        back.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not self.nagle)

        async def return_way() -> None:
            while data := await there.read(65536):
                writer.write(data)
            writer.close()

        task = asyncio.create_task(return_way())
        number = 0
        while data := bytearray(await reader.read(65536)):
            if self.change is not None:
                self.change(data)
            position = 0
            while position < len(data):
                size = self.sizes[number % len(self.sizes)]
                number += 1
                back.write(data[position : position + size])
                await back.drain()
                await asyncio.sleep(0)
                position += size
        back.close()
        await task


@pytest.mark.parametrize("sizes", [[1, 2, 3, 5, 65536], [7], [65536], [15, 16, 17, 4096], [20, 40_000]])
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
async def test_how_the_bytes_were_split_makes_no_difference(sizes: list[int], cipher: str) -> None:
    async with opened() as door:
        server = await Cut(door.port, sizes).serve()
        async with server:
            port = server.sockets[0].getsockname()[1]
            options = {"username": "eft_us_someone", "password": "abcde-fghjk", "known_hosts": None, "client_keys": None}
            async with (
                asyncssh.connect("127.0.0.1", port, config=None, encryption_algs=[cipher], **options) as connection,
                connection.start_sftp_client() as sftp,
            ):
                async with sftp.open("/a", "wb") as file:
                    await file.write(CONTENT[:60_000])
                async with sftp.open("/a", "rb") as file:
                    assert await file.read() == CONTENT[:60_000]


ASKED, DELAYED_S = 40, 0.04


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_client_that_writes_packets_in_pieces_waits_for_no_delayed_acknowledgement(run: Callable[..., None]) -> None:
    """ssh2 for Node: 0.15 s for each small file. Of five attempts one has to be quick: other tests need the machine too."""

    async def work() -> None:
        async with opened() as door:
            server = await Cut(door.port, [40, 65536], nagle=True).serve()
            async with server:
                there = asyncssh.connect(
                    "127.0.0.1", server.sockets[0].getsockname()[1], username=USER, password=PASSWORD,
                    known_hosts=None, client_keys=None, config=None,
                )  # fmt: skip
                async with there as connection, connection.start_sftp_client() as sftp:
                    assert min([await forty_questions(sftp) for _ in range(5)]) < ASKED * DELAYED_S / 2

    async def forty_questions(sftp: asyncssh.SFTPClient) -> float:
        began = time.monotonic()
        for _ in range(ASKED):
            await sftp.stat("/")
        return time.monotonic() - began

    run(work())


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
@pytest.mark.parametrize("pieces", [PIECES, frozenset[str]()], ids=["fast", "library"])
async def test_a_changed_byte_ends_the_connection_and_nothing_of_it_is_kept(cipher: str, pieces: frozenset[str]) -> None:
    armed = False

    def change(data: bytearray) -> None:
        if armed and len(data) > 1000:
            data[len(data) // 2] ^= 1

    async with opened(packet_pieces=pieces) as door:
        server = await Cut(door.port, [65536], change).serve()
        async with server:
            port = server.sockets[0].getsockname()[1]
            options = {"username": "eft_us_someone", "password": "abcde-fghjk", "known_hosts": None, "client_keys": None}
            async with (
                asyncssh.connect("127.0.0.1", port, config=None, encryption_algs=[cipher], **options) as connection,
                connection.start_sftp_client() as sftp,
            ):
                file = await sftp.open("/a", "wb")
                await file.write(b"good")
                armed = True
                with pytest.raises((asyncssh.Error, OSError)):
                    await asyncio.wait_for(file.write(bytes(60_000)), 10)
        async with asyncio.timeout(5):
            while door.door.connections:
                await asyncio.sleep(0.01)


async def test_packets_that_are_not_plainly_data_get_the_librarys_answer() -> None:
    """Sent by asyncssh's own client, well sealed and wrong."""
    string = len(b"x").to_bytes(4) + b"x"
    wrong: list[tuple[int, bytes]] = [
        (94, b""),
        (94, (0).to_bytes(4)),
        (94, (77).to_bytes(4) + string),
        (94, (0).to_bytes(4) + string + b"more"),
        (94, (0).to_bytes(4) + (5).to_bytes(4) + b"x"),
        (94, (0).to_bytes(4) + (3_000_000).to_bytes(4) + bytes(90_000)),
        (93, (0).to_bytes(4)),
        (93, (77).to_bytes(4) + (1).to_bytes(4)),
        (95, (0).to_bytes(4) + (1).to_bytes(4) + string),
        (60, b""),
        (31, b""),
    ]
    for kind, payload in wrong:
        reasons = []
        for pieces in (PIECES, frozenset[str]()):
            ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

            class Client(asyncssh.SSHClient):
                def connection_lost(self, exc: Exception | None, ended: asyncio.Future[Exception | None] = ended) -> None:
                    if not ended.done():
                        ended.set_result(exc)

            async with opened(packet_pieces=pieces) as door, door.connect(client_factory=Client) as connection:
                await connection.start_sftp_client()
                connection.send_packet(kind, payload)
                reasons.append(str(await asyncio.wait_for(ended, 5)))
        assert reasons[0] == reasons[1], kind


async def test_unknown_packets_are_answered_and_the_connection_goes_on() -> None:
    async with opened() as door, door.connect() as connection, connection.start_sftp_client() as sftp:
        connection.send_packet(192, b"what")
        connection.send_packet(2, (3).to_bytes(4) + b"abc")
        assert await sftp.exists("/")


async def test_a_packet_past_the_limit_is_refused_before_it_was_received() -> None:
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    class Client(asyncssh.SSHClient):
        def connection_lost(self, exc: Exception | None) -> None:
            ended.set_result(exc)

    async with opened() as door, door.connect(client_factory=Client, encryption_algs=["aes128-gcm@openssh.com"]) as connection:
        vars(connection)["_transport"].write((2**31).to_bytes(4) + bytes(100))
        assert "Max packet size exceeded" in str(await asyncio.wait_for(ended, 5))


async def test_a_client_that_allows_packets_of_no_length_does_not_stop_the_door() -> None:
    async with opened() as door, door.connect() as connection:
        with pytest.raises((asyncssh.Error, TimeoutError)):
            await asyncio.wait_for(connection.create_session(asyncssh.SSHClientSession, subsystem="sftp", max_pktsize=0), 1)
    async with opened() as door:
        await round_trip(door)
