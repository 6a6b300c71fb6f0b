"""What the commands on cases share: services for one command, and who gave it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
import os
import pwd
from typing import TypeVar

from eft.bootstrap.services import Services, services
from eft.config import Config
from eft.domain.actor import Actor

T = TypeVar("T")


def act(config: Config, work: Callable[[Services], Awaitable[T]]) -> T:
    """The result of `work` on the region's services, beside whatever workers are running."""

    async def run() -> T:
        async with services(config) as running:
            return await work(running)

    return asyncio.run(run())


def operator() -> Actor:
    """Whoever runs this command, for the audit log."""
    number = os.getuid()
    try:
        return Actor(f"cli:{pwd.getpwuid(number).pw_name}")
    except KeyError:
        return Actor(f"cli:{number}")
