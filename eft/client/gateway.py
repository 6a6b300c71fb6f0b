"""One gateway as the client sees it: TLS with the right trust, the proxy, the token, and refusals told as sentences."""

from __future__ import annotations

from collections.abc import Mapping
import json
import ssl
import threading
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from eft.client.errors import CaseRefuses, ClientError, Missing, NoRoom, NotTrusted, NotVerified, Transient, Wrong, WrongGateway
from eft.client.tokens import Token

CONNECT_S = 20.0
SILENCE_S = 120.0
"""Seconds without a byte from the gateway that count as a dead line."""

_TRANSIENT = {408, 409, 423, 425, 429, 460, 500, 502, 503, 504}


class Gateway:
    """What `--to` names. `base` is its address without a path. Threads may share it; each has connections of its own."""

    def __init__(self, url: str, token: Token, *, ca: str | None = None, proxy: str | None = None) -> None:
        """`ca`: a PEM file of authorities to be trusted besides the system's. `proxy`: instead of what the environment says.

        Raises Wrong, NotTrusted.
        """
        self.base = _base(url)
        self.files = f"{self.base}/files"
        self.token = token
        self._context = _trust(ca)
        self._proxies = {"http": proxy, "https": proxy} if proxy else dict(get_environ_proxies(self.files))
        self._local = threading.local()

    def absolute(self, location: str) -> str:
        """The address of an upload on this very gateway: a Location elsewhere would be given the token.

        Raises ClientError.
        """
        address = urljoin(self.files, location)
        if _base(address) != self.base:
            raise ClientError("The gateway answered with an address that is not its own.", "Tell your support contact.")
        return address

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None, *, stream: bool = False
    ) -> requests.Response:
        """The answer, a success. Raises Transient, ClientError."""
        answer = self.try_to(method, url, headers, body, stream=stream)
        if answer.status_code >= 300:
            self.refuse(answer)
        return answer

    def try_to(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None, *, stream: bool = False
    ) -> requests.Response:
        """The answer, whatever it is. Raises Transient, and NotTrusted, ClientError where another attempt is vain."""
        token = self.token.value
        sent = {"Tus-Resumable": "1.0.0", "Accept-Encoding": "identity", **(headers or {})}
        try:
            answer = self._session().request(
                method,
                url,
                headers=sent,
                data=body,
                # Set as `auth`, so that a netrc file does not replace it.
                auth=lambda request: _bearer(request, token),
                timeout=(CONNECT_S, SILENCE_S),
                allow_redirects=False,
                proxies=self._proxies,
                stream=stream,
            )
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise NotTrusted(
                    f"The certificate of {self.base} does not verify ({_why(error)}).",
                    "If your company or the gateway uses an authority of its own, name its PEM file with --ca FILE or EFT_CA.",
                ) from None
            raise Transient(f"the TLS connection broke ({_why(error)})") from None
        except requests.exceptions.ProxyError as error:
            if "407" in str(error):
                raise ClientError("The proxy wants a sign-in.", "Give it as --proxy http://USER:PASSWORD@HOST:PORT.") from None
            raise Transient(f"the proxy cannot be used ({_why(error)})") from None
        except requests.exceptions.Timeout:
            raise Transient("no answer in time") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidSchema) as error:
            raise Wrong(f"That address cannot be used: {error}.", "Give it as https://HOST:PORT.") from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise Transient(f"the connection failed ({_why(error)})") from None
        if answer.status_code == 401:
            self.token.renew(token, _detail(answer)[1] or "The token is unknown or has expired.")
            raise Transient("the token was renewed")
        return answer

    def refuse(self, answer: requests.Response) -> None:
        """Raises what the answer means: Transient, or a ClientError."""
        status = answer.status_code
        code, detail, remedy, more = (*_detail(answer),)
        if status in _TRANSIENT or (status > 500 and status not in (501, 505, 507)):
            if code in ("already-finished",):
                raise Missing(detail, remedy)
            raise Transient(detail or f"the gateway answers {status}", _retry_after(answer), code)
        if 300 <= status < 400:
            raise Wrong(f"{self.base} sends elsewhere: that is no eft gateway.", "Use the address that the case page shows.")
        if status == 421:
            url = str(more.get("url") or "")
            where = f"Run the command with --to {url}" if url else "Use the address that the case page shows"
            raise WrongGateway(detail or "This is not the gateway of the case.", f"{where}.")
        if status == 403:
            raise CaseRefuses(detail or "The gateway refuses this.", remedy)
        if status == 413:
            raise NoRoom(detail or "The file is larger than the gateway takes.", remedy or "Split it, and send the pieces.")
        if status == 507:
            raise NoRoom(
                detail or "The gateway has no room left.",
                "What arrived is kept. Run the same command again later; it goes on where it was.",
            )
        if status == 422:
            raise NotVerified(detail or "What arrived is not what was announced.", remedy or "Send the file again.")
        if status in (404, 410):
            raise Missing(detail or "The gateway has no such thing.", remedy)
        raise ClientError(detail or f"The gateway answers {status}.", remedy or "Is that the address of an eft gateway?")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            # The environment's proxies are taken above, once: requests would let them win over --proxy.
            session.trust_env = False
            session.mount("https://", _Adapter(self._context))
            self._local.session = session
        return session


class _Adapter(HTTPAdapter):  # type: ignore[misc]  # requests has no types
    """Trusts what the context trusts, and nothing that requests brings along."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, ssl_context=self._context, proxy_ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


def _bearer(request: requests.PreparedRequest, token: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _trust(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise Wrong(f"The authorities in {ca} cannot be read ({_why(error)}).", "Name a PEM file with --ca.") from None
    return context


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme != "https" or parts.username is not None:
        raise Wrong(f"{url!r} is no address of a gateway.", "Give it as https://HOST or https://HOST:PORT.")
    host = f"[{host}]" if ":" in host else host
    return f"https://{host}" + ("" if port in (None, 443) else f":{port}")


def _detail(answer: requests.Response) -> tuple[str, str, str, dict[str, Any]]:
    """Code, detail, remedy and all members of a problem document; empty where the answer is none."""
    try:
        document = json.loads(answer.content)
    except (ValueError, requests.exceptions.RequestException):
        document = None
    if not isinstance(document, dict):
        return "", "", "", {}
    return (*(_plain(document.get(key)) for key in ("code", "detail", "remedy")), document)  # type: ignore[return-value]


def _plain(value: object) -> str:
    """What a server said, without what would steer a terminal."""
    return "".join(character for character in str(value or "") if character.isprintable())


def _retry_after(answer: requests.Response) -> float:
    try:
        return min(600.0, max(0.0, float(answer.headers.get("Retry-After", "0"))))
    except ValueError:
        return 0.0


def _why(error: BaseException) -> str:
    """The innermost reason: requests wraps what the system said several times."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = (
                seen.args[-1] if seen.args and isinstance(seen.args[-1], BaseException) else seen.__cause__ or seen.__context__
            )
        if not isinstance(inner, BaseException) or inner is seen:
            break
        seen = inner
    return _plain(getattr(seen, "verify_message", None) or getattr(seen, "strerror", None) or type(seen).__name__)
