"""Requests of tus and of the draft, as bytes; and their answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.fixtures.tls import Answer, Peer

TUS = 0
"""The protocol tus; every other number is an interop version of the draft."""

PROTOCOLS = (TUS, TUS, TUS, 3, 5, 6, 7, 8, 9)

Fields = list[tuple[str, str]]


@dataclass
class Told:
    """The final answer to a request, and what came before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: list[Answer] = field(default_factory=list)

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])

    @property
    def location(self) -> str:
        """Where the upload is, which an interim answer may have told already."""
        named = [answer.headers["location"] for answer in self.interim if "location" in answer.headers]
        named += [self.headers["location"]] if "location" in self.headers else []
        assert len(set(named)) == 1, named
        return named[0]


def version_fields(protocol: int) -> Fields:
    return [("Tus-Resumable", "1.0.0")] if protocol == TUS else [("Upload-Draft-Interop-Version", str(protocol))]


def completeness(protocol: int, complete: bool) -> tuple[str, str]:
    if protocol == 3:
        return "Upload-Incomplete", "?0" if complete else "?1"
    return "Upload-Complete", "?1" if complete else "?0"


def part_fields(protocol: int, offset: int, complete: bool) -> Fields:
    """What a PATCH says besides its version."""
    if protocol == TUS:
        return [("Content-Type", "application/offset+octet-stream"), ("Upload-Offset", str(offset))]
    kind = ("Content-Type", "application/partial-upload")
    return [kind, ("Upload-Offset", str(offset)), completeness(protocol, complete)]


def head_bytes(method: str, path: str, token: str, fields: Iterable[tuple[str, str]]) -> bytes:
    said = [("Host", "localhost"), ("Authorization", f"Bearer {token}"), *fields]
    return (f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said) + "\r\n").encode()


def chunked(body: bytes, trailers: Fields) -> bytes:
    """The body in chunks of uneven sizes."""
    pieces, start, size = [], 0, 1
    while start < len(body):
        piece = body[start : start + size]
        pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        start, size = start + len(piece), min(size * 7 + 1, 100_000)
    return b"".join(pieces) + b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers).encode() + b"\r\n"


def answer_to(peer: Peer, method: str) -> Told:
    """Raises EOFError, OSError where the connection ends instead."""
    interim: list[Answer] = []
    while (answer := peer.answer(to_head=method == "HEAD")).status < 200:
        interim.append(answer)
    return Told(answer.status, answer.headers, answer.body, interim)
