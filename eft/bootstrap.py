"""The composition root: the only place that names concrete classes and puts them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
import errno
import logging
import os
from pathlib import Path
import ssl

from eft.accounts.launches import Launches
from eft.accounts.sessions import PageSessions
from eft.accounts.temporary import TemporaryAccounts
from eft.accounts.tokens import Tokens
from eft.api.app import create_api
from eft.api.services import ApiServices, ApiSettings
from eft.audit.receipts import Receipts
from eft.audit.signing_keys import SigningKeys
from eft.cases.service import Cases
from eft.config import Config
from eft.db.engine import Database
from eft.domain.clock import Clock
from eft.domain.errors import UnsafeSetting
from eft.http_resumable.asgi import AsgiMount
from eft.http_resumable.callers import Callers
from eft.http_resumable.files import Files
from eft.http_resumable.gate import Gate
from eft.http_resumable.limits import Limits
from eft.http_resumable.locations import PREFIX
from eft.http_resumable.page_cookies import PageCookie
from eft.http_resumable.page_routes import page_routes
from eft.http_resumable.proxies import Proxies
from eft.http_resumable.rates import CountedCallers, RateLimits, Rates
from eft.http_resumable.receipts import KEYS, FilesWithReceipts, ReceiptKeys
from eft.http_resumable.server import HttpServer, open_as_many_files_as_allowed, tls_context
from eft.observability import Metrics, SystemClock
from eft.retention.ports import CaseSystem
from eft.retention.purge import Purge, PurgeReport
from eft.retention.rotation import KeyRotation
from eft.retention.schedule import Schedule
from eft.sftp_temp.door import SftpDoor
from eft.sftp_temp.host_keys import fingerprints
from eft.sftp_temp.settings import SftpSettings
from eft.storage.files import RegionFiles
from eft.storage.keys import SlotFileKeyStore
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.master_key import MasterKeyFile
from eft.storage.ports import KeyStore, SegmentStore
from eft.storage.reserve import Reserve, ReservingSegments
from eft.transfers import Bus, Directory, Resources, Space, Transfers, TransferSettings

log = logging.getLogger(__name__)

GRACE_S = 8.0
"""How long answers that are under way have when the gateway stops. Less than a supervisor waits."""

DATA_THREADS = 4
"""Threads that hash, seal and write. What they do releases the GIL, except for sealing."""

_OTHER_FILES = 1024
"""Descriptors that a worker needs for anything but HTTPS connections: SFTP ones, segments, the database, log and listeners."""

_ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What commands and gateways share: the region's storage and database, and what is done with them."""

    config: Config
    clock: Clock
    database: Database
    segments: SegmentStore
    keys: KeyStore
    cases: Cases
    accounts: TemporaryAccounts
    tokens: Tokens
    launches: Launches
    sessions: PageSessions
    purge: Purge
    rotation: KeyRotation
    signing_keys: SigningKeys
    receipts: Receipts


@asynccontextmanager
async def services(config: Config) -> AsyncIterator[Services]:
    """The region's services, beside whatever gateway runs.

    Raises KeyUnavailable where the master key is missing or another one; UnsafeSetting, StorageFailed.
    """
    clock = SystemClock()
    root = _region_root(config)
    keys = SlotFileKeyStore(RegionFiles(root), MasterKeyFile.at(config.keys.master_key_file), config.region.name)
    database = Database(config.database_url)
    await asyncio.to_thread(database.upgrade)
    segments = LocalDiskSegments(RegionFiles(root), config.region.name)
    await database.open()
    accounts = TemporaryAccounts(database=database, keys=keys, clock=clock, region=config.region.name, regions=config.regions)
    signing_keys = SigningKeys(database=database, keys=keys, clock=clock)
    try:
        yield Services(
            config=config,
            clock=clock,
            database=database,
            segments=segments,
            keys=keys,
            cases=Cases(database=database, clock=clock),
            accounts=accounts,
            tokens=Tokens(database=database, clock=clock, region=config.region.name, regions=config.regions),
            launches=Launches(database=database, clock=clock, region=config.region.name, regions=config.regions),
            sessions=PageSessions(database=database, clock=clock, region=config.region.name),
            purge=Purge(database=database, keys=keys, segments=segments, clock=clock, case_system=_case_system(config)),
            rotation=KeyRotation(database=database, keys=keys, clock=clock),
            signing_keys=signing_keys,
            receipts=Receipts(signing_keys, region=config.region.name, issuer=config.page_url),
        )
    finally:
        accounts.close()
        await database.close()


def create_keys(config: Config) -> KeyStore:
    """A new master key and an empty key store. Raises UnsafeSetting where there is either: keys are never overwritten.

    A master key without a key store is taken where nothing was ever stored under it: an interrupted run left it.
    """
    root = _region_root(config)
    files = RegionFiles(root)
    config.keys.master_key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    master_key = MasterKeyFile.at(config.keys.master_key_file)
    try:
        if (root / "keys" / "slots").exists():
            raise FileExistsError
        if not config.keys.master_key_file.exists() or (root / "segments").exists():
            master_key.create()
        return SlotFileKeyStore.create(files, master_key, config.region.name)
    except FileExistsError:
        raise UnsafeSetting(
            "There is a master key or a key store already.", "Keep it: without it nothing that is stored can be read."
        ) from None


def host_key_fingerprints(config: Config) -> tuple[str, ...]:
    """`SHA256:…` of each SFTP host key."""
    return tuple(fingerprints(config.sftp.host_keys))


class Gateway:
    """Everything that one worker runs: both doors, the control API and the jobs."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._services = services(config)
        self._jobs: asyncio.Task[None] | None = None
        self._metrics = Metrics()

    async def start(self) -> None:
        """Returns when both doors are open. Raises UnsafeSetting, KeyUnavailable, Tampered where it must not start."""
        config = self._config
        self._context = _tls(config.https.certificate, config.https.private_key)
        made = await self._services.__aenter__()
        await made.purge.apply_tombstones()
        await made.signing_keys.ensure()
        self._pool = ThreadPoolExecutor(DATA_THREADS, thread_name_prefix="data")
        reserve_mib = config.storage.reserve_mib
        reserve = Reserve(_region_root(config), None if reserve_mib is None else reserve_mib * 1024 * 1024)
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
                expire_after=timedelta(days=config.uploads.expire_after_days), case_bytes=_mib(config.limits.case_mib)
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
        root = _region_root(config)
        directory = Directory(resources, self._transfers, settle_s=config.uploads.settle_s, space=lambda: _space(root))
        self._https = self._https_door(made)
        self._sftp = SftpDoor(
            directory=directory,
            accounts=made.accounts,
            clock=made.clock,
            settings=SftpSettings(
                host_keys=config.sftp.host_keys,
                packet_pieces=frozenset(config.sftp.packet_pieces),
                hosts=config.sftp.listen,
                port=config.sftp.port,
                reuse_port=True,
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

    def _https_door(self, made: Services) -> HttpServer:
        config = self._config
        api = create_api(
            ApiServices(
                cases=made.cases,
                accounts=made.accounts,
                tokens=made.tokens,
                transfers=self._transfers,
                launches=made.launches,
                receipts=made.receipts,
            ),
            ApiSettings(
                sftp_host=config.region.sftp_host,
                sftp_port=config.sftp.port,
                host_key_fingerprints=host_key_fingerprints(config),
                page_url=config.page_url,
            ),
        )
        rates = _rates(config, made.clock)
        cookie = PageCookie(config.region.name, made.sessions)
        callers = Callers(made.tokens.authenticate, cookie=cookie, transfers=self._transfers)
        counted = CountedCallers(callers, rates)
        files = Files(self._transfers, callers=counted, max_size=_mib(config.limits.upload_mib))
        gate = Gate(
            {
                "/api/v1": AsgiMount(api, unlimited=_streams),
                **page_routes(
                    launches=made.launches,
                    cases=made.cases,
                    transfers=self._transfers,
                    receipts=made.receipts,
                    callers=callers,
                    cookie=cookie,
                    clock=made.clock,
                    region=config.region,
                    portal_url=config.portal_url,
                ),
                PREFIX: FilesWithReceipts(
                    files, callers=counted, transfers=self._transfers, cases=made.cases, receipts=made.receipts
                ),
                KEYS: ReceiptKeys(made.receipts),
            },
            allowed_hosts=config.https_hosts,
            cors_origins=config.https.cors_origins,
            proxies=Proxies(config.https.trusted_proxies, forwarded=config.https.forwarded_header == "forwarded"),
            rates=rates,
        )
        return HttpServer(
            gate,
            ssl_context=self._context,
            clock=made.clock,
            limits=_http_limits(config),
            proxy_protocol_from=config.https.proxy_protocol_from,
            proxies=config.https.trusted_proxies,
        )

    async def _open_doors(self) -> None:
        """Listens on every configured address; the supervisor has seen that at least one of them can be had."""
        for address in self._config.https.listen:
            with _absent_family_passes():
                await self._https.listen(address, self._config.https.port, reuse_port=True)
        await self._sftp.start()

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


def _region_root(config: Config) -> Path:
    root = config.region_root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root


def _case_system(config: Config) -> CaseSystem | None:
    if config.case_system is None:
        return None
    # An HTTP client's imports cost 10 MiB in each worker: only where there is somebody to ask.
    from eft.retention.case_system import HttpCaseSystem

    authorities = config.case_system.ca_file
    return HttpCaseSystem(
        config.case_system.url,
        config.case_system.token_file.read_text().strip(),
        trust=ssl.create_default_context(cafile=str(authorities)) if authorities else None,
    )


def _http_limits(config: Config) -> Limits:
    """As set, and never more connections than the process may have files open beside its others."""
    https = config.https
    descriptors = open_as_many_files_as_allowed()
    return Limits(
        connections=max(64, min(https.connections, descriptors - _OTHER_FILES)),
        connections_per_address=https.connections_per_address,
        minimum_rate=https.minimum_rate_bytes_s,
        body_window_s=https.minimum_rate_window_s,
        write_window_s=2 * https.minimum_rate_window_s,
        keep_alive_s=https.keep_alive_s,
    )


def _rates(config: Config, clock: Clock) -> Rates:
    limits = config.limits
    return Rates(
        clock,
        token=RateLimits(per_minute=limits.requests_per_minute_token, at_once=limits.uploads_at_once_token),
        case=RateLimits(per_minute=limits.requests_per_minute_case, at_once=limits.uploads_at_once_case),
        address=RateLimits(per_minute=limits.requests_per_minute_address, at_once=limits.uploads_at_once_address),
    )


def _mib(setting: int) -> int | None:
    """Bytes of a limit in MiB; None where there is none."""
    return setting * 1024 * 1024 or None


def _space(root: Path) -> Space:
    disk = os.statvfs(root)
    return Space(total=disk.f_blocks * disk.f_frsize, free=disk.f_bavail * disk.f_frsize)


def _streams(method: str, path: str) -> bool:
    """Whether the API takes a file's bytes there, of which there may be any number."""
    return method == "POST" and path.startswith("/api/v1/cases/") and path.endswith("/attachments")


@contextmanager
def _absent_family_passes() -> Iterator[None]:
    """An address of a family that the machine lacks is passed over."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ABSENT_FAMILY:
            raise


def _tls(certificate: Path, private_key: Path) -> ssl.SSLContext:
    try:
        return tls_context(certificate, private_key)
    except OSError as error:
        raise UnsafeSetting(
            f"The certificate {certificate} and its key {private_key} cannot be used: {error.strerror or error}.",
            "Correct https.certificate and https.private_key.",
        ) from None
