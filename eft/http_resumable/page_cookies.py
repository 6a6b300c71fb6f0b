"""The cookie of the Transfer Files page, and which requests it may speak for."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

from eft.accounts.sessions import LIFETIME, PageSessions, Visitor
from eft.http_resumable.request import Request

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OVERRIDE: Final = "X-HTTP-Method-Override"


class Origin(Enum):
    """Which page a browser's request comes from, as far as the browser says (Fetch Metadata; RFC 6454)."""

    OWN = auto()
    FOREIGN = auto()
    UNSAID = auto()


class PageCookie:
    """The cookie `__Host-eft-REGION`: for this host alone, over HTTPS alone, out of reach of scripts."""

    def __init__(self, region: str, sessions: PageSessions) -> None:
        self.name: Final = f"__Host-eft-{region}"
        self._sessions = sessions

    def value_in(self, request: Request) -> str | None:
        """What the browser sent; None where it sent none, or two."""
        pairs = (pair.strip().partition("=") for field in request.headers.get_all("Cookie") for pair in field.split(";"))
        found = {value for name, _, value in pairs if name == self.name}
        return found.pop() if len(found) == 1 else None

    async def visitor(self, request: Request) -> Visitor | None:
        """Whom the request's cookie stands for."""
        value = self.value_in(request)
        return None if value is None else await self._sessions.visitor(value)

    def to_set(self, value: str) -> tuple[str, str]:
        """The header field that gives the browser the cookie."""
        seconds = int(LIFETIME.total_seconds())
        return "Set-Cookie", f"{self.name}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Lax"


def is_safe(request: Request) -> bool:
    """Whether the request only asks (RFC 9110 §9.2.1)."""
    return request.method in _SAFE and _OVERRIDE not in request.headers


def is_navigation(request: Request) -> bool:
    """Whether a browser shows the answer as a page of its own, or saves it; what no script of another origin can read."""
    return request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") in ("document", None)


def is_prefetch(request: Request) -> bool:
    """Whether nobody has clicked yet: a browser or a preview looks ahead."""
    said = [request.headers.get(name) or "" for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")]
    return any("prefetch" in value or "preview" in value for value in said)


def origin_of(request: Request) -> Origin:
    """A foreign `Origin` outweighs all else. `null` says nothing: browsers send it for forms of a page without referrers."""
    said = request.headers.get("Origin")
    if said is not None and said != "null" and not _is_own(said, request):
        return Origin.FOREIGN
    site = request.headers.get("Sec-Fetch-Site")
    if site == "same-origin":
        return Origin.OWN
    if site not in (None, "none"):
        return Origin.FOREIGN
    return Origin.OWN if said not in (None, "null") else Origin.UNSAID


def _is_own(origin: str, request: Request) -> bool:
    host = (request.headers.get("Host") or "").lower()
    if origin.lower() == f"https://{host}":
        return True
    # Behind a proxy that is believed, the name in front is not the one in Host.
    return not host.startswith(request.host) and urlsplit(origin.lower()).hostname == request.host
