"""What a worker tells its supervisor, over a pipe: lines of JSON, each a state it has come to.

`{"ready": true}` once its doors are open, `{"beat": true}` each second from then on, and
`{"refused": {"code", "detail", "remedy"}}` where it will not start however often it is tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
from dataclasses import dataclass
import json
import os

from eft.domain.errors import EftError

BEAT_S = 1.0
FRESH_S = 5.0
"""A worker whose last beat is older does not count as ready."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a worker will not start."""

    code: str
    detail: str
    remedy: str

    def as_error(self) -> EftError:
        error = EftError(self.detail, self.remedy)
        error.code = self.code
        return error


class ReportWriter:
    """The worker's end of the pipe. Never blocks: a supervisor that does not read loses beats, and nothing else."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def ready(self) -> None:
        self._write({"ready": True})

    def beat(self) -> None:
        self._write({"beat": True})

    def refused(self, refusal: Refusal) -> None:
        self._write({"refused": {"code": refusal.code, "detail": refusal.detail, "remedy": refusal.remedy}})

    def _write(self, report: dict[str, object]) -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._descriptor, json.dumps(report).encode() + b"\n")


async def read_reports(descriptor: int) -> AsyncIterator[dict[str, object]]:
    """The reports of one worker until it is gone. Takes over `descriptor` and closes it."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        while line := await reader.readline():
            with contextlib.suppress(ValueError):
                report = json.loads(line)
                if isinstance(report, dict):
                    yield report
    finally:
        transport.close()
