"""The first thing a request meets: is it for us, which origin does it come from, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from eft.domain.errors import EftError, NotFound, WrongHost
from eft.http_resumable import problems
from eft.http_resumable.headers import Headers
from eft.http_resumable.proxies import Proxies
from eft.http_resumable.rates import Rates
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.wire import Handler

Word = Callable[[Request, EftError | Refusal], Response]
"""What a request is answered with that was refused."""

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_PREFLIGHT_AGE_S: Final = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLists:
    """Header fields that scripts of a foreign origin may send, and may read (Fetch §3.2)."""

    request: tuple[str, ...] = (
        "Authorization",
        "Content-Digest",
        "Content-Disposition",
        "Content-Type",
        "If-Range",
        "Range",
        "Repr-Digest",
        "Tus-Resumable",
        "Upload-Checksum",
        "Upload-Complete",
        "Upload-Concat",
        "Upload-Defer-Length",
        "Upload-Draft-Interop-Version",
        "Upload-Incomplete",
        "Upload-Length",
        "Upload-Metadata",
        "Upload-Offset",
        "X-HTTP-Method-Override",
        "X-Requested-With",
    )
    exposed: tuple[str, ...] = (
        "Accept-Patch",
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "Location",
        "Repr-Digest",
        "Retry-After",
        "Tus-Checksum-Algorithm",
        "Tus-Extension",
        "Tus-Max-Size",
        "Tus-Resumable",
        "Tus-Version",
        "Upload-Complete",
        "Upload-Concat",
        "Upload-Defer-Length",
        "Upload-Draft-Interop-Version",
        "Upload-Expires",
        "Upload-Incomplete",
        "Upload-Length",
        "Upload-Limit",
        "Upload-Metadata",
        "Upload-Offset",
        "Want-Content-Digest",
        "Want-Repr-Digest",
    )


def check_body_is_plain(headers: Headers) -> None:
    """Raises Refusal for a compressed body: nothing is ever unpacked here, so that no body is larger than it looks."""
    if any(coding != "identity" for coding in headers.tokens("Content-Encoding")):
        raise Refusal(
            415, "content-encoding", "A body is sent as it is, without Content-Encoding.", "Send the bytes uncompressed."
        )


class Gate:
    """Hands each request to the handler of the longest matching path prefix.

    `routes` are prefixes of whole path components: `/files` takes `/files` and `/files/x`, not `/filesystem`.
    `allowed_hosts` are names without ports; any other is refused with 421 before anything else is looked at.
    `cors_origins` (`https://portal.example:8440`) may use the API from scripts; no cookie is honoured across origins.
    `proxies` tell who the client is; `rates` bound what it may ask for; `word` answers what is refused here.
    """

    def __init__(
        self,
        routes: Mapping[str, Handler],
        *,
        allowed_hosts: Iterable[str],
        cors_origins: Iterable[str] = (),
        header_lists: HeaderLists | None = None,
        proxies: Proxies | None = None,
        rates: Rates | None = None,
        word: Word | None = None,
    ) -> None:
        self._word = word or (lambda _, refused: problems.answer(refused))
        self._proxies = proxies
        self._rates = rates
        self._routes = sorted(routes.items(), key=lambda route: len(route[0]), reverse=True)
        self._hosts = frozenset(host.lower().strip("[]") for host in allowed_hosts)
        self._origins = frozenset(origin.rstrip("/") for origin in cors_origins)
        lists = header_lists or HeaderLists()
        self._request_headers = ", ".join(lists.request)
        self._exposed = ", ".join(lists.exposed)

    async def __call__(self, request: Request) -> Response:
        if self._proxies is not None:
            origin = self._proxies.origin(request.peer, request.headers)
            request.peer, request.scheme = origin.client, origin.scheme
            request.host = origin.host or request.host
            request.takes_interim = origin.interim
        try:
            response = await self._answer(request)
        except (EftError, Refusal) as refused:
            response = self._word(request, refused)
        finally:
            if self._rates is not None:
                self._rates.leave(request)
        self._share(request, response)
        return response

    async def _answer(self, request: Request) -> Response:
        if request.host not in self._hosts:
            raise WrongHost
        if self._is_preflight(request):
            return self._preflight()
        if request.method == "OPTIONS" and request.path == "*":
            return Response(204, (("Allow", _METHODS),))
        if self._rates is not None:
            self._rates.arrive(request)
        check_body_is_plain(request.headers)
        for prefix, handler in self._routes:
            if request.path == prefix or request.path.startswith(prefix.rstrip("/") + "/"):
                return await handler(request)
        raise NotFound

    def _is_preflight(self, request: Request) -> bool:
        return (
            request.method == "OPTIONS"
            and "Access-Control-Request-Method" in request.headers
            and request.headers.get("Origin") in self._origins
        )

    def _preflight(self) -> Response:
        return Response(
            204,
            (
                ("Access-Control-Allow-Methods", _METHODS),
                ("Access-Control-Allow-Headers", self._request_headers),
                ("Access-Control-Max-Age", str(_PREFLIGHT_AGE_S)),
            ),
        )

    def _share(self, request: Request, response: Response) -> None:
        """Lets scripts of a configured origin read the answer. Caches are told that it depends on the origin, always."""
        if not self._origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in self._origins and origin is not None:
            response.headers.set("Access-Control-Allow-Origin", origin)
            response.headers.set("Access-Control-Expose-Headers", self._exposed)
