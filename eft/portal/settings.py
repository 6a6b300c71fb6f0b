"""The settings of the portal: one TOML file, typed and frozen, refused where it is wrong or not safe."""

from __future__ import annotations

from collections.abc import Iterator
import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from eft.domain.errors import UnsafeSetting
from eft.settings_file import LocalPath, Port, Problem, Section, keys_of, read, wrong

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise wrong(f'"{text}" is not the address of a site.', 'Write one such as "https://portal.example.com", without a path.')
    return text.rstrip("/")


def _ip(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise wrong(f'"{text}" is not an IP address.', 'Write one such as "0.0.0.0", "::" or "127.0.0.1".') from None
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]
IpAddress = Annotated[str, AfterValidator(_ip)]


class HttpsSettings(Section):
    listen: tuple[IpAddress, ...] = Field(
        default=("127.0.0.1", "::1"), min_length=1, description="a list of IP addresses to listen on"
    )
    port: Port = Field(default=8440, description="a TCP port")
    certificate: LocalPath = Field(description="the file with the certificate chain (PEM)")
    private_key: LocalPath = Field(description="the file with the certificate's private key (PEM)")
    extra_hosts: tuple[str, ...] = Field(default=(), description="a list of further host names to answer for")
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="a list of addresses of proxies that are believed about the client's address"
    )


class OperationsSettings(Section):
    port: Port = Field(default=8450, description="a TCP port")


class DatabaseSettings(Section):
    url: str = Field(
        default="sqlite:///portal.db",
        pattern=r"\A(sqlite:///.+|postgresql://.+|postgresql\+psycopg://.+)\z",
        description="postgresql://… or sqlite:///FILE",
    )


class MailSettings(Section):
    sender: str = Field(pattern=r"\A[!-~]+@[!-~]+\z", description="the e-mail address that mail comes from")
    directory: LocalPath | None = Field(default=None, description="a directory that mail is written to instead of being sent")
    host: str = Field(default="", description="the SMTP server's host name")
    port: Port = Field(default=587, description="the SMTP server's port")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description='"starttls", "tls" or "none"')
    username: str = Field(default="", description="the name to sign in with at the SMTP server")
    password_file: LocalPath | None = Field(default=None, description="the file with the password for that name")


class SupportSettings(Section):
    name: str = Field(default="Customer Care", min_length=1, description="what customers call the support organisation")
    telephone: str = Field(min_length=3, description="the telephone number that customers are told")


class GatewaySettings(Section):
    title: str = Field(min_length=1, description="what people call the region")
    url: WebAddress = Field(description="the address of the gateway's control API, without a path")
    public_url: WebAddress | None = Field(default=None, description="the same as customers reach it, where that differs")
    page_url: WebAddress = Field(description="the address that browsers open for Transfer Files")
    token_file: LocalPath = Field(description="the file with the portal's token for the control API")
    case_system_token_file: LocalPath = Field(description="the file with the token by which this gateway asks the portal")
    ca_file: LocalPath | None = Field(default=None, description="the file with the authorities (PEM) of a private installation")

    @property
    def address(self) -> str:
        """Where customers' programs find the gateway."""
        return self.public_url or self.url


class PortalSettings(Section):
    """A portal's settings, complete; all paths are absolute."""

    url: WebAddress = Field(description="the portal's own address, as browsers open it")
    key_file: LocalPath = Field(description="the file with the key that signs forms")
    https: HttpsSettings = Field(description="the section [https]")
    operations: OperationsSettings = Field(default=OperationsSettings(), description="the section [operations]")
    database: DatabaseSettings = Field(default=DatabaseSettings(), description="the section [database]")
    mail: MailSettings = Field(description="the section [mail]")
    support: SupportSettings = Field(description="the section [support]")
    gateways: dict[str, GatewaySettings] = Field(min_length=1, description="a section [gateways.REGION] for each region")

    @property
    def hosts(self) -> frozenset[str]:
        """Every host name that the portal answers for."""
        return frozenset({(urlsplit(self.url).hostname or "").lower(), *(host.lower() for host in self.https.extra_hosts)})


def setting_names() -> tuple[str, ...]:
    """Every setting that a portal's file may have, dotted; `gateways.REGION.*` without the region."""
    return tuple(keys_of(PortalSettings))


def load_settings(file: Path) -> PortalSettings:
    """The settings in `file`. Raises SettingInvalid where they cannot be used, UnsafeSetting where they could be but must not."""
    file = file.absolute()
    settings = read(file, PortalSettings)
    for problem in _unsafe(file, settings):
        raise UnsafeSetting(f"{problem.file}: {problem.key}: {problem.wrong}", problem.remedy)
    scheme, slashes, path = settings.database.url.partition("sqlite:///")
    if slashes and not scheme:
        database = DatabaseSettings(url=f"{slashes}{file.parent / path}")
        settings = settings.model_copy(update={"database": database})
    return settings


def _unsafe(file: Path, settings: PortalSettings) -> Iterator[Problem]:
    """What would work and must not be. The first of them refuses the start."""
    secrets = {"https.private_key": settings.https.private_key, "key_file": settings.key_file}
    if settings.mail.password_file:
        secrets["mail.password_file"] = settings.mail.password_file
    for region, gateway in settings.gateways.items():
        secrets[f"gateways.{region}.token_file"] = gateway.token_file
        secrets[f"gateways.{region}.case_system_token_file"] = gateway.case_system_token_file
    for key, path in secrets.items():
        if _others_may_read(path):
            yield Problem(file, key, f"Others than its owner may read {path}.", f"Run: chmod 600 {path}")
    if urlsplit(settings.database.url).password and _others_may_read(file):
        yield Problem(file, "database.url", "It has a password, and others may read this file.", f"Run: chmod 600 {file}")
    if urlsplit(settings.url).scheme != "https":
        yield Problem(file, "url", "Passwords would cross the network unencrypted.", "Write an https:// address.")
    for region, gateway in settings.gateways.items():
        for name in ("url", "public_url", "page_url"):
            address = getattr(gateway, name)
            if address and urlsplit(address).scheme == "http" and urlsplit(address).hostname not in LOOPBACK_HOSTS:
                yield Problem(
                    file,
                    f"gateways.{region}.{name}",
                    "Tokens and files would cross the network unencrypted.",
                    "Write an https:// address.",
                )
    mail = settings.mail
    if mail.directory is None and not mail.host:
        yield Problem(
            file,
            "mail.host",
            "Nobody could reset a password.",
            "Name an SMTP server, or a mail.directory where mail is written to.",
        )
    if mail.directory is None and mail.security == "none" and mail.host not in LOOPBACK_HOSTS:
        yield Problem(file, "mail.security", "Reset links would cross the network unencrypted.", 'Write "starttls" or "tls".')
    if settings.https.port == settings.operations.port:
        yield Problem(file, "https.port, operations.port", "They are the same.", "Give each its own port.")


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False
