"""The composition root: the only place that names concrete classes and puts them together."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
import ssl

from eft.config import Config
from eft.domain.errors import NotFound, UnsafeSetting
from eft.http_resumable.problems import answer
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.server import HttpServer, tls_context
from eft.observability import SystemClock

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
