"""A relay between a client and a door, which hears what the client says, and may say something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import struct

Change = Callable[[bytes], bytes]
NAME_LISTS = ("kex", "host_key", "cipher", "cipher_back", "mac", "mac_back")


@dataclass
class Relay:
    """`heard`: what each client said so far, `told`: what it was told, in the order in which they came."""

    port: int = 0
    heard: list[bytearray] = field(default_factory=list)
    told: list[bytearray] = field(default_factory=list)

    def offered(self, number: int = -1) -> dict[str, list[str]]:
        """What the client offers in its KEXINIT, by NAME_LISTS."""
        return kexinit(bytes(self.heard[number]))


@asynccontextmanager
async def relay(port: int, *, change: Change = lambda said: said) -> AsyncIterator[Relay]:
    """Listens on a port of its own and passes everything on to `port`. `change` is given all that a client says up to the end of
    its KEXINIT, as one piece, and says what is passed on instead."""
    made = Relay()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        heard, told = bytearray(), bytearray()
        made.heard.append(heard)
        made.told.append(told)

        async def up() -> None:
            passed = False
            while data := await reader.read(65536):
                heard.extend(data)
                if passed:
                    back.write(data)
                elif kexinit_end(bytes(heard)):
                    passed = True
                    back.write(change(bytes(heard)))
            if not passed:
                back.write(bytes(heard))
            back.write_eof()

        async def down() -> None:
            while data := await there.read(65536):
                told.extend(data)
                writer.write(data)
            writer.close()

        both = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        tasks.update(both)
        await asyncio.wait(both)
        back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def kexinit_end(said: bytes) -> int:
    """Where the first packet behind the version line ends; 0 where it has not come whole."""
    start = said.find(b"\n") + 1
    if not start or len(said) < start + 4:
        return 0
    end = start + 4 + int(struct.unpack_from(">I", said, start)[0])
    return end if len(said) >= end else 0


def kexinit(said: bytes) -> dict[str, list[str]]:
    """The name lists of a KEXINIT behind a version line, RFC 4253 §7.1."""
    position = said.index(b"\n") + 1 + 5 + 17
    found = {}
    for name in NAME_LISTS:
        size = struct.unpack_from(">I", said, position)[0]
        found[name] = said[position + 4 : position + 4 + size].decode().split(",")
        position += 4 + size
    return found


def packet(payload: bytes) -> bytes:
    """One packet as it goes over the wire before there are keys, RFC 4253 §6."""
    padding = 4 + -(len(payload) + 9) % 8
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
