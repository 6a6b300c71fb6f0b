"""The composition root: the only place that names concrete classes and puts them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
import errno
import logging
from pathlib import Path
import ssl

from eft.accounts.temporary import TemporaryAccounts
from eft.accounts.tokens import Tokens
from eft.cases.service import Cases
from eft.config import Config
from eft.db.engine import Database
from eft.domain.clock import Clock
from eft.domain.errors import NotFound, UnsafeSetting
from eft.http_resumable.problems import answer
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.server import HttpServer, tls_context
from eft.observability import SystemClock
from eft.retention.case_system import HttpCaseSystem
from eft.retention.ports import CaseSystem
from eft.retention.purge import Purge
from eft.sftp_temp import host_keys
from eft.storage.files import RegionFiles
from eft.storage.keys import SlotFileKeyStore
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.master_key import MasterKeyFile
from eft.storage.ports import KeyStore, SegmentStore

log = logging.getLogger(__name__)

GRACE_S = 8.0
"""How long answers that are under way have when the gateway stops. Less than a supervisor waits."""

_ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Gateway:
    """Everything that one worker runs."""

    def __init__(self, config: Config) -> None:
        self._config = config
        clock = SystemClock()
        context = _tls(config.https.certificate, config.https.private_key)
        self._https = HttpServer(_nothing_here, ssl_context=context, clock=clock)

    async def start(self) -> None:
        """Returns when both doors are open. Raises UnsafeSetting where it must not start."""
        await self._open_https()

    async def stop(self) -> None:
        """Ends in order: no new connections, running answers finished or cut after GRACE_S seconds."""
        await self._https.close(GRACE_S)

    async def _open_https(self) -> None:
        """Listens on every configured address; the supervisor has seen that at least one of them can be had."""
        for address in self._config.https.listen:
            try:
                await self._https.listen(address, self._config.https.port, reuse_port=True)
            except OSError as error:
                if error.errno not in _ABSENT_FAMILY:
                    raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What acts on a region's cases, in a worker and in a command alike."""

    clock: Clock
    database: Database
    keys: KeyStore
    segments: SegmentStore
    cases: Cases
    accounts: TemporaryAccounts
    tokens: Tokens
    purge: Purge


@asynccontextmanager
async def services(config: Config) -> AsyncIterator[Services]:
    """The services of the gateway's region, on its database and key store. Any number of processes may have them at once.

    The schema is brought up to date, and what the key store knows to be purged is purged in the database, before anything else.
    Raises KeyUnavailable for a missing or wrong master key or key store, UnsafeSetting, StorageFailed.
    """
    clock = SystemClock()
    keys, segments = await asyncio.to_thread(_open_storage, config)
    database = Database(config.database_url)
    await asyncio.to_thread(database.upgrade)
    await database.open()
    region, regions = config.region.name, config.regions
    accounts = TemporaryAccounts(database=database, keys=keys, clock=clock, region=region, regions=regions)
    try:
        purge = Purge(database=database, keys=keys, segments=segments, clock=clock, case_system=_case_system(config))
        await purge.apply_tombstones()
        yield Services(
            clock=clock,
            database=database,
            keys=keys,
            segments=segments,
            cases=Cases(database=database, clock=clock),
            accounts=accounts,
            tokens=Tokens(database=database, clock=clock, region=region, regions=regions),
            purge=purge,
        )
    finally:
        accounts.close()
        await database.close()


def create_keys(config: Config) -> None:
    """The region's master key and an empty key store. Raises UnsafeSetting where there is one already: a key is never replaced.

    A master key whose key store was never made, because the command was interrupted, is used.
    """
    root = config.region_root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = RegionFiles(root)
    master_keys = MasterKeyFile.at(config.keys.master_key_file)
    if (root / "keys" / "slots").exists():
        raise UnsafeSetting(
            f"There is a key store below {root} already.", "Leave it: the region's data can be read with it alone."
        )
    if (root / "segments").exists() or (root / "eft.db").exists():
        raise UnsafeSetting(
            f"There is data below {root}, but no key store.", "Put keys/slots back from a backup; new keys cannot read that data."
        )
    if not config.keys.master_key_file.exists():
        master_keys.create()
    SlotFileKeyStore.create(files, master_keys, config.region.name)


def host_key_fingerprints(config: Config) -> tuple[str, ...]:
    """How SFTP clients show this gateway's host keys. Raises UnsafeSetting where one cannot be used."""
    host_keys.load(config.sftp.host_keys)
    return tuple(host_keys.fingerprints(config.sftp.host_keys))


def _open_storage(config: Config) -> tuple[KeyStore, SegmentStore]:
    root = config.region_root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = RegionFiles(root)
    master_keys = MasterKeyFile.at(config.keys.master_key_file)
    master_keys.generations()
    return SlotFileKeyStore(files, master_keys, config.region.name), LocalDiskSegments(files, config.region.name)


def _case_system(config: Config) -> CaseSystem | None:
    if config.case_system is None:
        return None
    try:
        token = config.case_system.token_file.read_text().strip()
    except OSError as error:
        raise UnsafeSetting("The token for the case system cannot be read.", "Correct case_system.token_file.") from error
    return HttpCaseSystem(config.case_system.url, token)


def _tls(certificate: Path, private_key: Path) -> ssl.SSLContext:
    try:
        return tls_context(certificate, private_key)
    except OSError as error:
        raise UnsafeSetting(
            f"The certificate {certificate} and its key {private_key} cannot be used: {error.strerror or error}.",
            "Correct https.certificate and https.private_key.",
        ) from None


async def _nothing_here(_request: Request) -> Response:
    return answer(NotFound())
