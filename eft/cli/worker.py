"""A worker process of `eft serve`. Only its supervisor starts it: `python -m eft.cli.worker`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
import logging
import os
from pathlib import Path
import signal
import socket
import sys
import threading
from typing import Protocol

import uvloop

from eft.cli.memory import TIDY_EVERY_S, leave_the_program_out_of_collections, tidy_up
from eft.cli.reports import BEAT_S, Refusal, ReportWriter
from eft.config import load_config
from eft.domain.errors import KeyUnavailable, Tampered, UnsafeSetting
from eft.observability import log_to_stderr
from eft.settings_file import SettingInvalid

log = logging.getLogger(__name__)

_REFUSED = 78
"""EX_CONFIG of sysexits.h: starting again would change nothing."""


class Service(Protocol):
    """What a worker runs."""

    async def start(self) -> None:
        """Returns when it serves. Raises UnsafeSetting, KeyUnavailable or Tampered where it must not."""

    async def stop(self) -> None:
        """Ends in order, in less time than a supervisor waits."""


def end_with(lifeline: int) -> None:
    """Ends this process as soon as the other end of the pipe is closed, which is when the supervisor is gone, however it went.

    A thread, because the event loop may be what hangs. What was not acknowledged is lost, which is its sender's to send again.
    """

    def wait() -> None:
        while os.read(lifeline, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def run(make: Callable[[], Service], reports: ReportWriter) -> int:
    """Serves until SIGTERM, and reports to the supervisor. Returns the exit code."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(make, reports))
    except SettingInvalid as error:
        reports.refused(Refusal("setting-invalid", str(error), ""))
        return _REFUSED
    except (UnsafeSetting, KeyUnavailable, Tampered) as error:
        reports.refused(Refusal(error.code, error.detail, error.remedy))
        return _REFUSED
    except Exception:
        log.exception("worker.failed")
        return 1
    return 0


async def _serve(make: Callable[[], Service], reports: ReportWriter) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    service = make()
    await service.start()
    leave_the_program_out_of_collections()
    reports.ready()
    tidied_at = loop.time()
    while not stopping.is_set():
        reports.beat()
        if loop.time() - tidied_at >= TIDY_EVERY_S:
            await tidy_up()
            tidied_at = loop.time()
        try:
            await asyncio.wait_for(stopping.wait(), BEAT_S)
        except TimeoutError:
            continue
    await service.stop()


def main() -> int:
    """Reads what the supervisor said and runs the gateway's services."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--reports", type=int, required=True)
    parser.add_argument("--listener", type=int, action="append", default=[])
    arguments = parser.parse_args()
    log_to_stderr(worker=arguments.number)
    end_with(arguments.lifeline)
    reports = ReportWriter(arguments.reports)

    def gateway() -> Service:
        from eft.bootstrap.gateway import Gateway

        config = load_config(arguments.config)
        log_to_stderr(region=config.region.name, worker=arguments.number)
        return Gateway(config, [socket.socket(fileno=descriptor) for descriptor in arguments.listener])

    return run(gateway, reports)


if __name__ == "__main__":
    sys.exit(main())
