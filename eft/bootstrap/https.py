"""How the HTTPS door is put together."""

from __future__ import annotations

from pathlib import Path
import ssl

from eft.api.app import create_api
from eft.api.services import ApiServices, ApiSettings
from eft.bootstrap.services import Services
from eft.config import Config
from eft.domain.clock import Clock
from eft.domain.errors import UnsafeSetting
from eft.http_resumable.asgi import AsgiMount
from eft.http_resumable.callers import Callers
from eft.http_resumable.files import Files
from eft.http_resumable.gate import Gate
from eft.http_resumable.limits import Limits
from eft.http_resumable.locations import PREFIX
from eft.http_resumable.page_cookies import PageCookie
from eft.http_resumable.page_html import Pages
from eft.http_resumable.page_routes import page_routes
from eft.http_resumable.proxies import Proxies
from eft.http_resumable.rates import CountedCallers, RateLimits, Rates
from eft.http_resumable.receipts import KEYS, FilesWithReceipts, ReceiptKeys
from eft.http_resumable.server import HttpServer, open_as_many_files_as_allowed, tls_context
from eft.http_resumable.wording import Wording
from eft.settings_file import file_at
from eft.sftp_temp.host_keys import fingerprints
from eft.transfers import Transfers

_OTHER_FILES = 1024
"""Descriptors that a worker needs for anything but HTTPS connections: SFTP ones, segments, the database, log and listeners."""


def https_door(config: Config, made: Services, transfers: Transfers) -> HttpServer:
    """One worker's: the control API, `/files` and the Transfer Files page behind one gate. Raises UnsafeSetting."""
    api = create_api(
        ApiServices(
            cases=made.cases,
            accounts=made.accounts,
            tokens=made.tokens,
            transfers=transfers,
            launches=made.launches,
            receipts=made.receipts,
        ),
        ApiSettings(
            sftp_host=config.region.sftp_host,
            sftp_port=config.sftp.port,
            host_key_fingerprints=tuple(fingerprints(config.sftp.host_keys)),
            page_url=config.page_url,
        ),
    )
    rates = _rates(config, made.clock)
    cookie = PageCookie(config.region.name, made.sessions)
    callers = Callers(made.tokens.authenticate, cookie=cookie, transfers=transfers)
    counted = CountedCallers(callers, rates)
    files = Files(transfers, callers=counted, max_size=mib(config.limits.upload_mib))
    gate = Gate(
        {
            "/api/v1": AsgiMount(api, unlimited=_streams),
            **page_routes(
                launches=made.launches,
                cases=made.cases,
                transfers=transfers,
                receipts=made.receipts,
                callers=callers,
                cookie=cookie,
                clock=made.clock,
                region=config.region,
                portal_url=config.portal_url,
                max_size=mib(config.limits.upload_mib),
                rates=rates,
            ),
            PREFIX: FilesWithReceipts(files, callers=counted, transfers=transfers, cases=made.cases, receipts=made.receipts),
            KEYS: ReceiptKeys(made.receipts),
        },
        allowed_hosts=config.https_hosts,
        cors_origins=config.https.cors_origins,
        proxies=Proxies(
            config.https.trusted_proxies,
            forwarded=config.https.forwarded_header == "forwarded",
            interim=config.https.proxies_pass_interim_answers,
        ),
        rates=rates,
        word=Wording(Pages(portal_url=config.portal_url, region_title=config.region.title)),
    )
    return HttpServer(
        gate,
        ssl_context=_tls(config.https.certificate, config.https.private_key),
        clock=made.clock,
        limits=_http_limits(config),
        proxy_protocol_from=config.https.proxy_protocol_from,
        proxies=config.https.trusted_proxies,
    )


def mib(setting: int) -> int | None:
    """Bytes of a limit in MiB; None where there is none."""
    return setting * 1024 * 1024 or None


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


def _streams(method: str, path: str) -> bool:
    """Whether the API takes a file's bytes there, of which there may be any number."""
    return method == "POST" and path.startswith("/api/v1/cases/") and path.endswith("/attachments")


def _tls(certificate: Path, private_key: Path) -> ssl.SSLContext:
    file_at("https.certificate", certificate)
    file_at("https.private_key", private_key)
    try:
        return tls_context(certificate, private_key)
    except OSError as error:
        raise UnsafeSetting(
            f"The certificate {certificate} and its key {private_key} cannot be used: {error.strerror or error}.",
            "Correct https.certificate and https.private_key.",
        ) from None
