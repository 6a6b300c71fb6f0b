"""One gateway for one storage: the lock that says so, and what a former run left behind."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import logging
import os
from pathlib import Path
import shutil
import socket

from eft.domain.clock import Clock
from eft.domain.errors import UnsafeSetting

log = logging.getLogger(__name__)

_ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def claim(run_dir: Path, clock: Clock, patience_s: float = 5.0) -> int:
    """A descriptor that holds the lock on `run_dir`, which is made where it is absent.

    Workers inherit the descriptor, so that a supervisor which follows a killed one waits until the last of its workers has gone.
    The kernel releases the lock with the processes: nothing has to be cleaned by hand.

    Raises UnsafeSetting after `patience_s` seconds: another gateway is running there.
    """
    lock = _open_lock(run_dir)
    until = clock.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() >= until:
                os.close(lock)
                raise UnsafeSetting(
                    f"Another gateway is running on {run_dir.parent}.", "Stop it, or give this one a storage.root of its own."
                ) from None
            await asyncio.sleep(0.05)
        else:
            return lock


def _open_lock(run_dir: Path) -> int:
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(run_dir / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def empty_directory(directory: Path) -> Path:
    """`directory`, made or emptied. What lies there belonged to processes that are gone."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    return directory


def check_addresses(doors: tuple[tuple[str, int], ...]) -> None:
    """Makes sure that nobody else listens there: workers share the HTTPS port (SO_REUSEPORT), and would with a stranger too.

    An address of a family that the machine lacks is passed over. Raises UnsafeSetting.
    """
    free = set()
    for address, port in doors:
        try:
            _bound(address, port).close()
            free.add(port)
        except OSError as error:
            if error.errno not in _ABSENT_FAMILY:
                raise UnsafeSetting(
                    f"The gateway cannot listen on {address}, port {port}: {error.strerror}.",
                    "Stop what listens there, or choose another port.",
                ) from None
            log.warning("address.unavailable", extra={"address": address, "port": port})
    for _, port in doors:
        if port not in free:
            raise UnsafeSetting(f"The machine has none of the addresses for port {port}.", "Correct `listen` in the settings.")


def bound_to(doors: tuple[tuple[str, int], ...]) -> list[socket.socket]:
    """Sockets for workers to listen on together, of addresses that were checked."""
    bound = []
    for address, port in doors:
        try:
            bound.append(_bound(address, port))
        except OSError as error:
            if error.errno not in _ABSENT_FAMILY:
                raise
    return bound


def _bound(address: str, port: int) -> socket.socket:
    """A socket that is bound there, beside nobody who listens. Raises OSError."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
