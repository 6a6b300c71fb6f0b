"""Runs the portal: its pages over HTTPS, its operations listener over HTTP, until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import contextlib
import errno
import ipaddress
import logging
import signal
import socket
import ssl

from starlette.applications import Starlette
import uvicorn

from eft.domain.clock import Clock
from eft.domain.errors import UnsafeSetting
from eft.portal.app import make_site, portal_app
from eft.portal.database import Database
from eft.portal.operations import operations_app
from eft.portal.settings import HttpsSettings, PortalSettings
from eft.settings_file import file_at

_PATIENCE_S = 10
_ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs several of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: PortalSettings, clock: Clock) -> None:
    """Returns after SIGTERM or SIGINT. Raises UnsafeSetting where the portal cannot start."""
    log.info("portal.starting", extra={"port": settings.https.port})
    _check_certificate(settings.https)
    if settings.mail.password_file:
        file_at("mail.password_file", settings.mail.password_file)  # It is read for each mail, which is late to learn of it.
    database = Database(settings.database.url)
    await asyncio.to_thread(database.upgrade)
    site = make_site(settings, database, clock)
    https, operations = settings.https, settings.operations
    app = portal_app(site)
    doors = _listen(https.listen, https.port)
    servers = [
        (
            _server(
                app,
                ssl_certfile=str(https.certificate),
                ssl_keyfile=str(https.private_key),
                proxy_headers=bool(https.trusted_proxies),
                forwarded_allow_ips=list(https.trusted_proxies),
            ),
            doors,
        ),
        (_server(operations_app(database, site.metrics), proxy_headers=False), _listen(("127.0.0.1",), operations.port)),
    ]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, [server for server, _ in servers])
    log.info("portal.ready", extra={"port": https.port})
    try:
        await asyncio.gather(*(server.serve(sockets=sockets) for server, sockets in servers))
    finally:
        if site.under_way:
            await asyncio.wait(site.under_way, timeout=_PATIENCE_S)
        for gateway in site.gateways.values():
            await gateway.close()
        database.close()
        log.info("portal.stopped")


def _check_certificate(https: HttpsSettings) -> None:
    """Raises UnsafeSetting."""
    file_at("https.certificate", https.certificate)
    file_at("https.private_key", https.private_key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(https.certificate, https.private_key)
    except OSError as error:
        raise UnsafeSetting(
            f"The certificate {https.certificate} and its key {https.private_key} cannot be used: {error.strerror or error}.",
            "Correct https.certificate and https.private_key.",
        ) from None


def _server(app: Starlette, **options: object) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_PATIENCE_S,
            h11_max_incomplete_event_size=32 * 1024,
            **options,  # type: ignore[arg-type]
        )
    )


def _end(servers: list[uvicorn.Server]) -> None:
    for server in servers:
        server.should_exit = True


def _listen(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    """A socket for each address; one of a family that the machine lacks is passed over. Raises UnsafeSetting."""
    made = []
    for address in addresses:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        try:
            door = socket.socket(family, socket.SOCK_STREAM)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            door.bind((address, port))
        except OSError as error:
            if error.errno in _ABSENT_FAMILY:
                log.warning("address.unavailable", extra={"address": address, "port": port})
                continue
            raise UnsafeSetting(
                f"The portal cannot listen on {address}, port {port}: {error.strerror}.",
                "Stop what listens there, or choose another port.",
            ) from None
        made.append(door)
    if not made:
        raise UnsafeSetting(f"The machine has none of the addresses for port {port}.", "Correct `listen` in the settings.")
    return made
