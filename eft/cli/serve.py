"""`eft serve`: one gateway, as a supervisor and its workers."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from eft.cli.command import Command, with_config
from eft.cli.supervisor import Plan, Supervisor
from eft.config import Config
from eft.observability import SystemClock, log_to_stderr


@click.command(cls=Command)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes share the work: one a core."
)
@with_config
def serve(config: Config, workers: int) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. Both doors, the control API and the jobs run in each worker."""
    os.umask(0o077)
    log_to_stderr(region=config.region.name)
    sftp = tuple((address, config.sftp.port) for address in config.sftp.listen)
    plan = Plan(
        # -P: the directory that the gateway is started from is not a place to import code from.
        command=(sys.executable, "-P", "-m", "eft.cli.worker", "--config", str(config.file)),
        workers=workers,
        run_dir=config.run_dir,
        operations_port=config.operations.port,
        doors=(*((address, config.https.port) for address in config.https.listen), *sftp),
        shared=sftp if workers > 1 else (),
    )
    asyncio.run(Supervisor(plan, SystemClock()).run())
