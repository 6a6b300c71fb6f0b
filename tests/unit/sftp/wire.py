"""Requests as a client writes them and replies as it reads them, written from the draft and not from eft's own codec."""

from __future__ import annotations

from dataclasses import dataclass
import struct

INIT = struct.pack(">IBI", 5, 1, 3)


def string(value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(raw)) + raw


def packet(kind: int, identifier: int, *fields: bytes) -> bytes:
    body = struct.pack(">BI", kind, identifier) + b"".join(fields)
    return struct.pack(">I", len(body)) + body


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)


NO_ATTRIBUTES = u32(0)


def attributes(*, size: int | None = None, mode: int | None = None, times: tuple[int, int] | None = None) -> bytes:
    flags = (1 if size is not None else 0) | (4 if mode is not None else 0) | (8 if times is not None else 0)
    body = u32(flags)
    if size is not None:
        body += u64(size)
    if mode is not None:
        body += u32(mode)
    if times is not None:
        body += u32(times[0]) + u32(times[1])
    return body


def open_file(identifier: int, path: bytes | str, flags: int) -> bytes:
    return packet(3, identifier, string(path), u32(flags), NO_ATTRIBUTES)


def close(identifier: int, handle: bytes) -> bytes:
    return packet(4, identifier, string(handle))


def read(identifier: int, handle: bytes, offset: int, length: int) -> bytes:
    return packet(5, identifier, string(handle), u64(offset), u32(length))


def write(identifier: int, handle: bytes, offset: int, data: bytes) -> bytes:
    return packet(6, identifier, string(handle), u64(offset), string(data))


def extended(identifier: int, name: str, *fields: bytes) -> bytes:
    return packet(200, identifier, string(name), *fields)


@dataclass
class Reply:
    kind: int
    id: int
    body: bytes

    @property
    def code(self) -> int:
        """Of a STATUS."""
        assert self.kind == 101, self
        return int(struct.unpack_from(">I", self.body)[0])

    @property
    def message(self) -> str:
        assert self.kind == 101, self
        length = struct.unpack_from(">I", self.body, 4)[0]
        return self.body[8 : 8 + length].decode()

    @property
    def handle(self) -> bytes:
        assert self.kind == 102, (self, self.message)
        return self.body[4:]

    @property
    def data(self) -> bytes:
        assert self.kind == 103, self
        assert struct.unpack_from(">I", self.body)[0] == len(self.body) - 4
        return self.body[4:]

    @property
    def facts(self) -> dict[str, int]:
        assert self.kind == 105, self
        return _facts(self.body, 0)[0]

    @property
    def names(self) -> list[tuple[str, str, dict[str, int]]]:
        assert self.kind == 104, self
        found, position = [], 4
        for _ in range(struct.unpack_from(">I", self.body)[0]):
            name, position = _string(self.body, position)
            long_name, position = _string(self.body, position)
            facts, position = _facts(self.body, position)
            found.append((name, long_name, facts))
        assert position == len(self.body)
        return found


def _string(data: bytes, position: int) -> tuple[str, int]:
    length = struct.unpack_from(">I", data, position)[0]
    end = position + 4 + length
    return data[position + 4 : end].decode(), end


def _facts(data: bytes, position: int) -> tuple[dict[str, int], int]:
    flags = struct.unpack_from(">I", data, position)[0]
    position += 4
    facts: dict[str, int] = {}
    if flags & 1:
        facts["size"] = struct.unpack_from(">Q", data, position)[0]
        position += 8
    if flags & 4:
        facts["mode"] = struct.unpack_from(">I", data, position)[0]
        position += 4
    if flags & 8:
        facts["mtime"] = struct.unpack_from(">I", data, position + 4)[0]
        position += 8
    return facts, position


def replies(data: bytes) -> list[Reply]:
    """Every reply in `data`; nothing may be left over. VERSION has the id 0."""
    found, position = [], 0
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        body = data[position + 4 : position + 4 + length]
        assert len(body) == length
        position += 4 + length
        if body[0] == 2:
            found.append(Reply(2, 0, body[1:]))
        else:
            found.append(Reply(body[0], struct.unpack_from(">I", body, 1)[0], body[5:]))
    return found
