"""What commands and gateways share: one region's storage and database, and what is done with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eft.accounts.launches import Launches
from eft.accounts.sessions import PageSessions
from eft.accounts.temporary import TemporaryAccounts
from eft.accounts.tokens import Tokens
from eft.audit.receipts import Receipts
from eft.audit.signing_keys import SigningKeys
from eft.cases.service import Cases
from eft.config import Config
from eft.db.engine import Database
from eft.domain.clock import Clock
from eft.domain.errors import KeyUnavailable, UnsafeSetting
from eft.observability import SystemClock
from eft.retention.ports import CaseSystem
from eft.retention.purge import Purge
from eft.retention.rotation import KeyRotation
from eft.settings_file import authorities_at, text_at
from eft.storage.files import RegionFiles
from eft.storage.keys import SlotFileKeyStore
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.master_key import MasterKeyFile
from eft.storage.ports import KeyStore, SegmentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """See the module."""

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
    root = region_root(config)
    master_key_file = config.keys.master_key_file
    if not master_key_file.exists():
        raise KeyUnavailable(
            f"keys.master_key_file: there is no file {master_key_file}, the master key.",
            "Put it back from where it is kept: without it no stored data can be read. For a new gateway run: eft keys create",
        )
    keys = SlotFileKeyStore(RegionFiles(root), MasterKeyFile.at(master_key_file), config.region.name)
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
    root = region_root(config)
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


def region_root(config: Config) -> Path:
    """The directory that everything of the region lies in, made where it is not there."""
    root = config.region_root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root


def _case_system(config: Config) -> CaseSystem | None:
    if config.case_system is None:
        return None
    # An HTTP client's imports cost 10 MiB in each worker: only where there is somebody to ask.
    from eft.retention.case_system import HttpCaseSystem

    settings = config.case_system
    return HttpCaseSystem(
        settings.url,
        text_at("case_system.token_file", settings.token_file),
        trust=authorities_at("case_system.ca_file", settings.ca_file),
    )
