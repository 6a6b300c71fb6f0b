"""The settings of one gateway: one TOML file, typed and frozen, refused where it is wrong or not safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from eft.domain.errors import UnsafeSetting
from eft.domain.region import Region
from eft.regions import LOOPBACK_HOSTS, Host, load_regions
from eft.settings_file import LocalPath, Problem, Section, SettingInvalid, keys_of, read, wrong


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise wrong(f'"{text}" is not an IP address.', 'Write one such as "0.0.0.0", "::" or "127.0.0.1".') from None
    return text


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or f"{parts.scheme}://{parts.netloc}" != text or "@" in parts.netloc:
        raise wrong(f'"{text}" is not an origin.', 'Write one such as "https://portal.example.com", without a path.')
    return text


def _https_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise wrong(f'"{text}" is not an address of HTTPS.', 'Write one such as "https://portal.example.com".')
    return text.rstrip("/")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise wrong(f'"{text}" is not a network.', 'Write one such as "10.1.2.0/24", or a single address.') from None


Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]
RegionPort = Annotated[int, Field(strict=True, ge=0, le=65535)]
"""A TCP port; 0, the default, means the one in the region's file."""

Count = Annotated[int, Field(strict=True, ge=0, le=2**62)]
"""A bound that an operator may set; 0, the default, is none."""

LOOPBACK: tuple[str, ...] = ("127.0.0.1", "::1")


class StorageSettings(Section):
    root: LocalPath = Field(description="the directory below which the region has its own")
    reserve_mib: Annotated[int, Field(strict=True, ge=0, le=2**30)] | None = Field(
        default=None, description="a number of MiB that uploads leave free"
    )


class DatabaseSettings(Section):
    url: str = Field(
        default="",
        pattern=r"\A(\z|sqlite:///|postgresql://|postgresql\+psycopg://)",
        description="postgresql://… or sqlite:///FILE",
    )


class KeySettings(Section):
    master_key_file: LocalPath = Field(description="the file with the master key, outside the storage root and its backups")


class HttpsSettings(Section):
    listen: tuple[Address, ...] = Field(default=LOOPBACK, min_length=1, description="a list of IP addresses to listen on")
    port: RegionPort = Field(default=0, description="a TCP port")
    certificate: LocalPath = Field(description="the file with the certificate chain (PEM)")
    private_key: LocalPath = Field(description="the file with the certificate's private key (PEM)")
    extra_hosts: tuple[Host, ...] = Field(default=(), description="a list of further host names to answer for")
    cors_origins: tuple[Origin, ...] = Field(default=(), description="a list of origins whose pages may upload")
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="a list of networks whose proxies are believed about the client"
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for", description='"x-forwarded-for" or "forwarded", whichever the proxies write'
    )
    proxies_pass_interim_answers: bool = Field(
        default=False, strict=True, description="true or false: whether the proxies hand 104 answers on and wait for the last one"
    )
    proxy_protocol_from: tuple[Network, ...] = Field(
        default=(), description="a list of networks whose connections begin with the PROXY protocol"
    )
    connections: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=16_384, description="a number of connections for each worker"
    )
    connections_per_address: Count = Field(default=0, description="a number of connections, 0 for no limit")
    minimum_rate_bytes_s: Annotated[int, Field(strict=True, ge=0, le=2**30)] = Field(
        default=512, description="a number of bytes per second"
    )
    minimum_rate_window_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = Field(
        default=30.0, description="a number of seconds"
    )
    keep_alive_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = Field(default=75.0, description="a number of seconds")


class SftpSettings(Section):
    listen: tuple[Address, ...] = Field(default=LOOPBACK, min_length=1, description="a list of IP addresses to listen on")
    port: RegionPort = Field(default=0, description="a TCP port")
    host_keys: tuple[LocalPath, ...] = Field(min_length=1, description="a list of files with the SSH host keys")
    proxy_protocol_from: tuple[Network, ...] = Field(
        default=(), description="a list of networks whose connections begin with the PROXY protocol"
    )
    connections: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=2000, description="a number of connections for each worker"
    )
    waiting_per_address: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=50, description="a number of connections from one address that have not signed in"
    )
    failures_per_address: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=30, description="a number of failed sign-ins"
    )
    failures_per_account: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=20, description="a number of failed sign-ins"
    )
    keepalive_s: Annotated[float, Field(strict=True, ge=0.1, le=3600)] = Field(default=30.0, description="a number of seconds")
    packet_pieces: tuple[Literal["receive", "gather", "send", "turn", "channel", "options", "gcm", "chacha", "hmac"], ...] = (
        Field(
            default=("receive", "gather", "send", "turn", "channel", "options", "gcm", "chacha", "hmac"),
            description="a list of parts of the faster packet layer, all of them unless one gives trouble",
        )
    )


class OperationsSettings(Section):
    port: RegionPort = Field(default=0, description="a TCP port")


class UploadSettings(Section):
    expire_after_days: Annotated[int, Field(strict=True, ge=1, le=365)] = Field(default=14, description="a number of days")
    settle_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = Field(default=5.0, description="a number of seconds")
    settle_suspicious_s: Annotated[float, Field(strict=True, ge=0, le=86400)] = Field(
        default=600.0, description="a number of seconds"
    )


class LimitSettings(Section):
    upload_mib: Count = Field(default=0, description="a number of MiB for one file, 0 for no limit")
    case_mib: Count = Field(default=0, description="a number of MiB for all files of one case, 0 for no limit")
    requests_per_minute_token: Count = Field(default=0, description="a number of requests, 0 for no limit")
    requests_per_minute_case: Count = Field(default=0, description="a number of requests, 0 for no limit")
    requests_per_minute_address: Count = Field(default=0, description="a number of requests, 0 for no limit")
    uploads_at_once_token: Count = Field(default=0, description="a number of requests with a body, 0 for no limit")
    uploads_at_once_case: Count = Field(default=0, description="a number of requests with a body, 0 for no limit")
    uploads_at_once_address: Count = Field(default=0, description="a number of requests with a body, 0 for no limit")


class PortalSettings(Section):
    url: Annotated[str, AfterValidator(_https_url)] = Field(description="the address of the portal, https://…")


class CaseSystemSettings(Section):
    url: str = Field(pattern=r"\Ahttps?://", description="the address of the case system, https://…")
    token_file: LocalPath = Field(description="the file with the token for the case system")
    ca_file: LocalPath | None = Field(
        default=None, description="the file with the authorities (PEM) that its certificate is from"
    )


class _File(Section):
    region: str = Field(description="the name of this gateway's region")
    regions_dir: LocalPath = Field(description="the directory with the region files")
    storage: StorageSettings = Field(description="the section [storage]")
    database: DatabaseSettings = DatabaseSettings()
    keys: KeySettings = Field(description="the section [keys]")
    https: HttpsSettings = Field(description="the section [https]")
    sftp: SftpSettings = Field(description="the section [sftp]")
    operations: OperationsSettings = OperationsSettings()
    uploads: UploadSettings = UploadSettings()
    limits: LimitSettings = LimitSettings()
    case_system: CaseSystemSettings | None = None
    portal: PortalSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A gateway's settings, complete: ports and database are filled in from the region where the file leaves them out.

    `regions` has every region of the installation, by name; `region` is this gateway's. All paths are absolute.
    """

    file: Path
    region: Region
    regions: Mapping[str, Region]
    storage: StorageSettings
    database_url: str
    keys: KeySettings
    https: HttpsSettings
    sftp: SftpSettings
    operations: OperationsSettings
    uploads: UploadSettings
    limits: LimitSettings
    case_system: CaseSystemSettings | None
    portal_url: str | None

    @property
    def region_root(self) -> Path:
        """The directory below which everything that the region stores is kept (P8)."""
        return self.storage.root / self.region.storage_root

    @property
    def run_dir(self) -> Path:
        """What only running processes need: locks, sockets, counters. May be deleted while none runs."""
        return self.region_root / "run"

    @property
    def https_hosts(self) -> tuple[str, ...]:
        """Every host name that the gateway answers for; the first is the public one."""
        return (*self.region.https_hosts, *self.https.extra_hosts)

    @property
    def page_url(self) -> str:
        """Where browsers find this gateway, without a path."""
        return f"https://{self.region.page_host or self.region.https_hosts[0]}:{self.https.port}"


def setting_names() -> tuple[str, ...]:
    """Every setting that a gateway's file may have, dotted."""
    return tuple(keys_of(_File))


def load_config(file: Path) -> Config:
    """The settings in `file`, with the regions it names.

    Raises SettingInvalid where they cannot be used, UnsafeSetting where they could be but must not.
    """
    file = file.absolute()
    settings = read(file, _File)
    regions = load_regions(settings.regions_dir)
    region = regions.get(settings.region)
    if region is None:
        known = ", ".join(regions)
        raise SettingInvalid(
            [Problem(file, "region", f'There is no region "{settings.region}".', f"Write one of these: {known}.")]
        )
    config = Config(
        file=file,
        region=region,
        regions=regions,
        storage=settings.storage,
        database_url=_database_url(settings, region, file),
        keys=settings.keys,
        https=settings.https.model_copy(update={"port": settings.https.port or region.https_port}),
        sftp=settings.sftp.model_copy(update={"port": settings.sftp.port or region.sftp_port}),
        operations=settings.operations.model_copy(update={"port": settings.operations.port or region.operations_port}),
        uploads=settings.uploads,
        limits=settings.limits,
        case_system=settings.case_system,
        portal_url=settings.portal.url if settings.portal is not None else None,
    )
    for problem in _unsafe(config):
        raise UnsafeSetting(f"{problem.file}: {problem.key}: {problem.wrong}", problem.remedy)
    return config


def _database_url(settings: _File, region: Region, file: Path) -> str:
    url = settings.database.url or f"sqlite:///{settings.storage.root / region.storage_root / 'eft.db'}"
    scheme, slashes, path = url.partition("sqlite:///")
    return f"{slashes}{file.parent / path}" if slashes and not scheme else url


def _unsafe(config: Config) -> Iterator[Problem]:
    """What would work and must not be. The first of them refuses the start."""
    file = config.file
    secrets = {"https.private_key": [config.https.private_key], "keys.master_key_file": [config.keys.master_key_file]}
    secrets["sftp.host_keys"] = list(config.sftp.host_keys)
    if config.case_system:
        secrets["case_system.token_file"] = [config.case_system.token_file]
    for key, paths in secrets.items():
        for path in paths:
            if _others_may_read(path):
                yield Problem(file, key, f"Others than its owner may read {path}.", f"Run: chmod 600 {path}")
    if urlsplit(config.database_url).password and _others_may_read(file):
        yield Problem(file, "database.url", "It has a password, and others may read this file.", f"Run: chmod 600 {file}")
    if config.keys.master_key_file.resolve().is_relative_to(config.storage.root.resolve()):
        yield Problem(
            file,
            "keys.master_key_file",
            "The master key lies below storage.root, so that one backup would hold both the data and its key.",
            "Move it elsewhere.",
        )
    if config.case_system:
        url = urlsplit(config.case_system.url)
        if url.scheme == "http" and url.hostname not in LOOPBACK_HOSTS:
            yield Problem(file, "case_system.url", "Its token would cross the network unencrypted.", "Write an https:// address.")
        if url.username is not None:
            yield Problem(file, "case_system.url", "It carries credentials.", "Leave them out and use case_system.token_file.")
    ports = (config.https.port, config.sftp.port, config.operations.port)
    if len(set(ports)) != len(ports):
        yield Problem(file, "https.port, sftp.port, operations.port", "Two of them are the same.", "Give each its own port.")


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False
