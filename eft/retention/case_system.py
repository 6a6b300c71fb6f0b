"""The case system over HTTPS: `GET URL/cases/ID` → `{"status", "closed_at"}`."""

from __future__ import annotations

from datetime import UTC, datetime
import json
import logging
import ssl
from urllib.parse import quote, urlsplit

import aiohttp

from eft.domain.errors import UnsafeSetting
from eft.domain.retention import CaseSystemAnswer

TIMEOUT_S = 10.0
_LARGEST = 64 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

log = logging.getLogger(__name__)


class HttpCaseSystem:
    """Asks over TLS with a verified certificate, follows no redirect, and takes every failure for no answer."""

    def __init__(self, url: str, token: str, *, trust: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        """`trust` verifies the certificate; by default the machine's authorities. Raises UnsafeSetting for a URL that is
        not https, except on this machine's loopback."""
        parts = urlsplit(url)
        if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
            raise UnsafeSetting("case_system.url is not an https address.", "Give the address as https://HOST/….")
        self._url = url.rstrip("/")
        self._token = token
        self._trust = trust or ssl.create_default_context()
        self._timeout_s = timeout_s

    async def ask(self, case_id: str) -> CaseSystemAnswer | None:
        """What it says of the case; None after a failure of any kind, which is logged without its address or token."""
        try:
            answer = _understood(await self._get(case_id))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("job.failed", extra={"job": "case-system", "case_id": case_id, "reason": type(error).__name__})
            return None
        return answer

    async def _get(self, case_id: str) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session,
            session.get(f"{self._url}/cases/{quote(case_id, safe='')}", ssl=self._trust, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = b""
            async for piece in response.content.iter_chunked(_LARGEST):
                body += piece
                if len(body) > _LARGEST:
                    raise ValueError("the answer is too long")
            return body


def _understood(body: bytes) -> CaseSystemAnswer:
    """Raises ValueError for anything but a status and an aware time or null."""
    given = json.loads(body)
    if not isinstance(given, dict) or not isinstance(given.get("status"), str):
        raise ValueError("no status")
    closed_at = given.get("closed_at")
    if closed_at is None:
        return CaseSystemAnswer(given["status"], None)
    if not isinstance(closed_at, str):
        raise ValueError("closed_at is not a time")
    instant = datetime.fromisoformat(closed_at)
    if instant.tzinfo is None:
        raise ValueError("closed_at has no time zone")
    return CaseSystemAnswer(given["status"], instant.astimezone(UTC))
