"""The portal's HTML, from the templates beside this file; nothing inline, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from eft.portal import words
from eft.portal.settings import PortalSettings


@dataclass(frozen=True, slots=True)
class Notice:
    """What a page says above all: what happened, and what to do. `kind`: `done`, `problem` or `news`."""

    kind: str
    text: str


class Pages:
    """Renders pages, with the headers that each of them has."""

    def __init__(self, settings: PortalSettings) -> None:
        self._templates = Environment(
            loader=PackageLoader("eft.portal"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters.update(size=words.size, at=words.at, left=words.left, key_type=words.key_type, who=words.who)
        self._templates.globals.update(
            support=settings.support,
            regions={region: gateway.title for region, gateway in settings.gateways.items()},
            words=words,
            control=_control,
        )
        self.headers = security_headers(gateway.page_url for gateway in settings.gateways.values())

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        text = self._templates.get_template(template).render(context)
        return HTMLResponse(text, status, self.headers)


def _control(field: Any, described_by: list[str], attributes: dict[str, Any]) -> Any:
    """A form's field as HTML, tied to what explains it and to what is wrong with it."""
    if described_by:
        attributes = {**attributes, "aria-describedby": " ".join(described_by)}
    if field.errors:
        attributes = {**attributes, "aria-invalid": "true"}
    return field(**attributes)


def security_headers(page_urls: Iterable[str]) -> dict[str, str]:
    """For every answer. Browsers hold a form's redirection against `form-action` too, and Transfer Files leads to the
    gateways' pages.

    No Cross-Origin-Opener-Policy: with it the pop-up that was just opened would look blocked.
    """
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"form-action 'self' {' '.join(sorted(set(page_urls)))}; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Strict-Transport-Security": "max-age=31536000",
    }
