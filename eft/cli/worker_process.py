"""One worker, as its supervisor sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
import contextlib
import os
import signal

from eft.cli.reports import FRESH_S, Refusal, read_reports
from eft.domain.clock import Clock


class WorkerProcess:
    """A process that was started, and what it has reported since. It ends itself when its supervisor is gone: it holds the other
    end of a pipe that only the supervisor has open for writing, and reads its end."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, lifeline: int, reports: int, clock: Clock) -> None:
        self.number = number
        self.started_at = clock.monotonic()
        self.ready_at: float | None = None
        self.refusal: Refusal | None = None
        self._beat_at = self.started_at
        self._process = process
        self._lifeline = lifeline
        self._reports = reports
        self._clock = clock

    @classmethod
    async def start(
        cls,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        clock: Clock,
        *,
        keep_open: Sequence[int],
        listeners: Sequence[int] = (),
    ) -> WorkerProcess:
        """Starts `command` with `--number`, `--lifeline`, `--reports`, and `--listener` for each of the `listeners` added; it
        inherits these descriptors and those in `keep_open`."""
        life_end, lifeline = os.pipe()
        reports, report_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *("--number", str(number), "--lifeline", str(life_end), "--reports", str(report_end)),
                *(word for listener in listeners for word in ("--listener", str(listener))),
                stdin=asyncio.subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=(life_end, report_end, *listeners, *keep_open),
                # Ctrl-C reaches a whole process group; it is for the supervisor to say when a worker ends.
                process_group=0,
            )
        except BaseException:
            os.close(lifeline)
            os.close(reports)
            raise
        finally:
            os.close(life_end)
            os.close(report_end)
        return cls(number, process, lifeline, reports, clock)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def beat_age_s(self) -> float:
        """Seconds since it was last heard from."""
        return self._clock.monotonic() - self._beat_at

    @property
    def is_ready(self) -> bool:
        return self.ready_at is not None and self.beat_age_s < FRESH_S

    async def watch(self, became_ready: asyncio.Event) -> int:
        """Follows the worker to its end. Returns its exit code, negative for the signal that ended it."""
        try:
            async for report in read_reports(self._reports):
                self._beat_at = self._clock.monotonic()
                match report:
                    case {"ready": True}:
                        self.ready_at = self._beat_at
                        became_ready.set()
                    case {"refused": {"code": str(code), "detail": str(detail), "remedy": str(remedy)}}:
                        self.refusal = Refusal(code, detail, remedy)
            return await self._process.wait()
        finally:
            os.close(self._lifeline)

    def stop(self) -> None:
        """Asks it to end in order."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
