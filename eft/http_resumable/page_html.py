"""The page's HTML, from the templates beside this file, under a policy that allows nothing inline and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
import json
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eft.domain.errors import EftError
from eft.http_resumable.page_messages import Message
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; "
    "worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Styles that a script sets one by one, as Uppy does, are no inline styles to a browser."""

_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
"""No Cross-Origin-Opener-Policy: it would cut the portal off from the window it opened, which would look blocked to it."""

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


class Pages:
    """Renders pages. `portal_url`: where they lead back to, None where nobody said."""

    def __init__(self, *, portal_url: str | None, region_title: str) -> None:
        self._templates = Environment(
            loader=PackageLoader("eft.http_resumable"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(size=size_text, instant=instant_text)
        self._templates.globals.update(portal_url=portal_url, region_title=region_title)

    def render(self, template: str, status: int, headers: Iterable[tuple[str, str]] = (), **context: Any) -> Response:
        """An answer with the page in it."""
        text = self._templates.get_template(template).render(context)
        return Response(status, (*_HEADERS, *headers), text.encode())

    def message(self, message: Message) -> Response:
        """The page that says what happened and what to do."""
        return self.render("message.html", message.status, message=message)

    def refusal(self, message: Message, refused: EftError | Refusal) -> Response:
        """The page, with the header fields that the refusal has, and the connection ended where that ends it."""
        response = self.message(message)
        if isinstance(refused, Refusal):
            response.close = refused.close
            for name, value in refused.headers.items():
                response.headers.add(name, value)
        return response


def reads_pages(request: Request) -> bool:
    """Whether the answer is for a person's eyes, in a browser."""
    return any(token.partition(";")[0].strip() == "text/html" for token in request.headers.tokens("Accept"))


def json_for_script(document: dict[str, Any]) -> Markup:
    """JSON for a `script` element: nothing in it can end the element, or begin a comment there."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def size_text(size: int) -> str:
    """Bytes as people read them: `0 bytes`, `1.4 MiB`."""
    if size == 1:
        return "1 byte"
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{size} bytes" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def instant_text(instant: str) -> str:
    """An RFC 3339 instant as people read it, in UTC."""
    return f"{datetime.fromisoformat(instant):%Y-%m-%d %H:%M} UTC"
