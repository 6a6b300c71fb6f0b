"""For tests: `supervised.py supervise RUN_DIR PORT WORKERS MODE` runs a supervisor, and the trivial workers that it starts."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
import signal
import sys
import time

import click

from eft.cli.command import Command
from eft.cli.reports import ReportWriter
from eft.cli.supervisor import Plan, Supervisor
from eft.cli.worker import end_with, run
from eft.domain.errors import KeyUnavailable
from eft.observability import Metrics, SystemClock, log_to_stderr


class Trivial:
    """Serves nothing, in one of several ways."""

    def __init__(self, mode: str) -> None:
        self._mode = mode

    async def start(self) -> None:
        match self._mode:
            case "crash":
                raise RuntimeError("not this time")
            case "refuse":
                raise KeyUnavailable("The master key file is missing.", "Restore it.")
            case "deaf":
                asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "hang":
                asyncio.get_running_loop().call_later(1.0, time.sleep, 3600)
            case _:
                Metrics().published("https")

    async def stop(self) -> None:
        await asyncio.sleep(0.1)


def work(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    for name in ("--mode", "--number", "--lifeline", "--reports"):
        parser.add_argument(name)
    said = parser.parse_args(arguments)
    log_to_stderr(worker=int(said.number))
    end_with(int(said.lifeline))
    return run(lambda: Trivial(said.mode), ReportWriter(int(said.reports)))


@click.command(cls=Command)
@click.argument("run_dir", type=Path)
@click.argument("port", type=int)
@click.argument("workers", type=int)
@click.argument("mode")
def supervise(run_dir: Path, port: int, workers: int, mode: str) -> None:
    log_to_stderr()
    command = (sys.executable, os.path.abspath(__file__), "work", "--mode", mode)
    asyncio.run(Supervisor(Plan(command=command, workers=workers, run_dir=run_dir, operations_port=port), SystemClock()).run())


if __name__ == "__main__":
    if sys.argv[1] == "work":
        sys.exit(work(sys.argv[2:]))
    supervise(sys.argv[2:])
