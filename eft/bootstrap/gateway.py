"""Everything that one worker runs: both doors, the control API and the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
import errno
import logging
import os
from pathlib import Path
import socket

from eft.bootstrap.https import https_door, mib
from eft.bootstrap.services import region_root, services
from eft.config import Config
from eft.domain.clock import Clock
from eft.observability import Metrics
from eft.retention.purge import PurgeReport
from eft.retention.schedule import Schedule
from eft.sftp_temp.door import SftpDoor
from eft.sftp_temp.settings import SftpSettings
from eft.storage.reserve import Reserve, ReservingSegments
from eft.transfers import Bus, Directory, Resources, Space, Transfers, TransferSettings

log = logging.getLogger(__name__)

GRACE_S = 8.0
"""How long answers that are under way have when the gateway stops. Less than a supervisor waits."""

DATA_THREADS = 4
"""Threads that hash, seal and write. What they do releases the GIL, except for sealing."""

_ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Gateway:
    """See the module."""

    def __init__(self, config: Config, shared: Sequence[socket.socket] = ()) -> None:
        """`shared`: bound to the addresses of the SFTP door, by who started this worker and others."""
        self._config = config
        self._shared = shared
        self._services = services(config)
        self._jobs: asyncio.Task[None] | None = None
        self._metrics = Metrics()

    async def start(self) -> None:
        """Returns when both doors are open. Raises UnsafeSetting, KeyUnavailable, Tampered where it must not start."""
        config = self._config
        made = await self._services.__aenter__()
        await made.purge.apply_tombstones()
        await made.signing_keys.ensure()
        self._pool = ThreadPoolExecutor(DATA_THREADS, thread_name_prefix="data")
        reserve_mib = config.storage.reserve_mib
        reserve = Reserve(region_root(config), None if reserve_mib is None else reserve_mib * 1024 * 1024)
        resources = Resources(
            region=config.region.name,
            database=made.database,
            segments=ReservingSegments(made.segments, reserve),
            keys=made.keys,
            clock=made.clock,
            bus=Bus(config.run_dir / "workers"),
            pool=self._pool,
            observer=self._metrics,
            settings=TransferSettings(
                expire_after=timedelta(days=config.uploads.expire_after_days), case_bytes=mib(config.limits.case_mib)
            ),
            check_room=reserve.check,
        )
        self._transfers = Transfers(resources)
        await self._transfers.open()
        self._schedule = Schedule(
            database=made.database,
            clock=made.clock,
            holder=resources.bus.worker,
            accounts=made.accounts,
            tokens=made.tokens,
            launches=made.launches,
            sessions=made.sessions,
            purge=made.purge,
            rotation=made.rotation,
            purged=self._count_purged,
        )
        root = region_root(config)
        directory = Directory(
            resources, self._transfers, made.receipts, settle_s=config.uploads.settle_s, space=lambda: _space(root)
        )
        self._https = https_door(config, made, self._transfers)
        self._sftp = SftpDoor(
            directory=directory,
            accounts=made.accounts,
            keys=made.accounts.public_keys,
            clock=made.clock,
            settings=SftpSettings(
                host_keys=config.sftp.host_keys,
                packet_pieces=frozenset(config.sftp.packet_pieces),
                hosts=config.sftp.listen,
                port=config.sftp.port,
                proxy_protocol_from=config.sftp.proxy_protocol_from,
                connections=config.sftp.connections,
                unauthenticated_per_address=config.sftp.waiting_per_address,
                failed_attempts_per_address=config.sftp.failures_per_address,
                failed_attempts_per_account=config.sftp.failures_per_account,
                keepalive_s=config.sftp.keepalive_s,
                settle_s=config.uploads.settle_s,
                settle_suspicious_s=config.uploads.settle_suspicious_s,
            ),
        )
        await self._open_doors()
        self._jobs = asyncio.create_task(self._run_jobs(made.clock))

    async def stop(self) -> None:
        """Ends in order: no new connections; answers that run are finished or cut after GRACE_S seconds; what came is kept."""
        if self._jobs is not None:
            self._jobs.cancel()
            with suppress(asyncio.CancelledError):
                await self._jobs
        await asyncio.gather(self._https.close(GRACE_S), self._sftp.stop())
        await self._schedule.close()
        await self._transfers.close()
        await self._services.__aexit__(None, None, None)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _open_doors(self) -> None:
        """Listens on every configured address; the supervisor has seen that at least one of them can be had."""
        for address in self._config.https.listen:
            with _absent_family_passes():
                await self._https.listen(address, self._config.https.port, reuse_port=True)
        await self._sftp.start(self._shared)

    async def _run_jobs(self, clock: Clock) -> None:
        jobs = (self._transfers.tick, self._schedule.tick, self._count_connections)
        await asyncio.gather(*(_each_second(job, clock) for job in jobs))

    async def _count_connections(self) -> None:
        self._metrics.connections("https", self._https.connections)
        self._metrics.connections("sftp", self._sftp.connections)

    def _count_purged(self, report: PurgeReport) -> None:
        for outcome in ("purged", "kept", "failed"):
            self._metrics.purged(outcome, len(getattr(report, outcome)))


async def _each_second(tick: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Looks at what is due, by a clock that never jumps. A look that fails is logged, and another follows: this never ends."""
    while True:
        began = clock.monotonic()
        try:
            await tick()
        except Exception:
            log.exception("job.failed", extra={"job": "tick"})
        await asyncio.sleep(max(0.0, 1.0 - (clock.monotonic() - began)))


def _space(root: Path) -> Space:
    disk = os.statvfs(root)
    return Space(total=disk.f_blocks * disk.f_frsize, free=disk.f_bavail * disk.f_frsize)


@contextmanager
def _absent_family_passes() -> Iterator[None]:
    """An address of a family that the machine lacks is passed over."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ABSENT_FAMILY:
            raise
