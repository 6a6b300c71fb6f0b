"""The gateways, by their control API: the only way by which the portal knows of files and accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
import logging
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from eft.portal.content import SILENCE_S, Content, content_of
from eft.portal.settings import GatewaySettings
from eft.settings_file import authorities_at, text_at

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_CONTENT_TIMEOUT = httpx.Timeout(SILENCE_S, connect=3.0)
_MOST_PAGES = 20

log = logging.getLogger(__name__)

Json = dict[str, Any]


class GatewayDown(Exception):
    """The gateway of `region` gave no answer that can be used."""

    def __init__(self, region: str) -> None:
        super().__init__(f"the gateway of {region} does not answer")
        self.region = region


class GatewayRefused(Exception):
    """The gateway said no: `status`, its stable `code`, and what it says to people."""

    def __init__(self, status: int, code: str, detail: str, remedy: str) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.remedy = status, code, detail, remedy


class Gateway:
    """One region's gateway. Every call raises GatewayDown or GatewayRefused.

    `actor` is the e-mail address of the person for whom the portal asks; the gateway's audit log has it.
    """

    def __init__(self, region: str, settings: GatewaySettings, client: httpx.AsyncClient | None = None) -> None:
        self.region = region
        self.settings = settings
        self._client = client or httpx.AsyncClient(
            base_url=f"{settings.url}/api/v1/",
            verify=authorities_at(f"gateways.{region}.ca_file", settings.ca_file),
            timeout=TIMEOUT,
            trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=8),
        )
        self._client.headers["Authorization"] = f"Bearer {text_at(f'gateways.{region}.token_file', settings.token_file)}"

    async def close(self) -> None:
        await self._client.aclose()

    async def cases(self) -> list[Json]:
        """All cases, newest first, at most 20,000."""
        return await self._everything("cases", 1000, _MOST_PAGES)

    async def case(self, case_id: str) -> Json | None:
        """None where the gateway knows no such case."""
        try:
            return await self._json("GET", f"cases/{_part(case_id)}")
        except GatewayRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def put_case(self, case_id: str, organisation: str, subject: str, actor: str) -> Json:
        body = {"organisation": organisation, "subject": subject, "status": "open"}
        return await self._json("PUT", f"cases/{_part(case_id)}", body, actor)

    async def close_case(self, case_id: str, sub_status: str, comment: str, actor: str) -> Json:
        body = {"sub_status": sub_status, "comment": comment}
        return await self._json("POST", f"cases/{_part(case_id)}/close", body, actor)

    async def reopen_case(self, case_id: str, reason: str, role: str, actor: str) -> Json:
        return await self._json("POST", f"cases/{_part(case_id)}/reopen", {"reason": reason, "actor": role}, actor)

    async def attachments(self, case_id: str) -> list[Json]:
        return await self._everything(f"cases/{_part(case_id)}/attachments", 1000, 5)

    async def uploads(self, case_id: str) -> list[Json]:
        return await self._everything(f"cases/{_part(case_id)}/uploads", 200, 1)

    async def launch(self, case_id: str, name: str, email: str, role: str) -> str:
        """The address of the Transfer Files page, good once: of this gateway's page and of no other site."""
        body = {"actor": {"name": name, "email": email, "role": role}}
        url = str((await self._json("POST", f"cases/{_part(case_id)}/launch", body, email))["url"])
        told, page = urlsplit(url), urlsplit(self.settings.page_url)
        if (told.scheme, told.netloc) != (page.scheme, page.netloc):
            raise self._down("launch-elsewhere")
        return url

    async def upload_token(self, case_id: str, source: str, actor: str) -> Json:
        return await self._json("POST", f"cases/{_part(case_id)}/upload-tokens", {"source": source}, actor)

    async def account(self, case_id: str) -> Json | None:
        """The temporary account that is alive, without its password; None where there is none."""
        try:
            return await self._json("GET", f"cases/{_part(case_id)}/sftp-account?password=false")
        except GatewayRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def reveal_account(self, case_id: str, actor: str) -> Json:
        return await self._json("GET", f"cases/{_part(case_id)}/sftp-account", actor=actor)

    async def create_account(self, case_id: str, actor: str) -> Json:
        return await self._json("POST", f"cases/{_part(case_id)}/sftp-account", actor=actor)

    async def revoke_account(self, case_id: str, actor: str) -> None:
        await self._json("DELETE", f"cases/{_part(case_id)}/sftp-account", actor=actor)

    async def account_keys(self, case_id: str) -> list[Json]:
        """The public keys of the account that is alive, newest first; none where there is no account."""
        try:
            return await self._everything(f"cases/{_part(case_id)}/sftp-account/keys", 100, 1)
        except GatewayRefused as refusal:
            if refusal.status == 404:
                return []
            raise

    async def register_key(self, case_id: str, text: str, actor: str) -> Json:
        return await self._json("POST", f"cases/{_part(case_id)}/sftp-account/keys", {"public_key": text}, actor)

    async def remove_key(self, case_id: str, key_id: str, actor: str) -> None:
        await self._json("DELETE", f"cases/{_part(case_id)}/sftp-account/keys/{_part(key_id)}", actor=actor)

    async def attachment(self, attachment_id: str) -> Json:
        return await self._json("GET", f"attachments/{_part(attachment_id)}")

    @asynccontextmanager
    async def content(self, attachment_id: str, wanted_range: str | None, actor: str) -> AsyncIterator[Content]:
        """The bytes of an attachment, as they come, across breaks of the gateway's connection (content.py)."""
        always = {"Eft-Actor": actor, "Accept-Encoding": "identity"}

        async def ask(headers: Mapping[str, str]) -> httpx.Response:
            path = f"attachments/{_part(attachment_id)}/content"
            request = self._client.build_request("GET", path, headers={**always, **headers}, timeout=_CONTENT_TIMEOUT)
            return await self._client.send(request, stream=True)

        try:
            answer = await ask({"Range": wanted_range} if wanted_range else {})
        except (httpx.HTTPError, OSError) as error:
            raise self._down(type(error).__name__) from error
        if answer.status_code not in (200, 206):
            async with aclosing(answer):
                await answer.aread()
                raise self._refusal(answer)
        content = content_of(answer, ask, self._down)
        async with aclosing(answer), aclosing(content.pieces):
            yield content

    async def _everything(self, path: str, limit: int, pages: int) -> list[Json]:
        found: list[Json] = []
        cursor = ""
        for _ in range(pages):
            page = await self._json("GET", f"{path}?limit={limit}{cursor}")
            found += page["items"]
            if not page["next"]:
                break
            cursor = f"&cursor={quote(page['next'], safe='')}"
        return found

    async def _json(self, method: str, path: str, body: Json | None = None, actor: str = "") -> Json:
        headers = {"Eft-Actor": actor} if actor else {}
        try:
            answer = await self._client.request(method, path, json=body, headers=headers)
            if answer.is_success:
                return dict(answer.json()) if answer.content else {}
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise self._down(type(error).__name__) from error
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> Exception:
        try:
            told = answer.json()
            refusal = GatewayRefused(answer.status_code, str(told["code"]), str(told["detail"]), str(told["remedy"]))
        except (ValueError, KeyError, TypeError):
            return self._down(f"status {answer.status_code}")
        if refusal.status >= 500 or refusal.code in ("unauthenticated", "scope-missing"):
            return self._down(refusal.code)  # the portal's own token, or the gateway's trouble: nothing a person can mend
        return refusal

    def _down(self, reason: str) -> GatewayDown:
        log.warning("portal.gateway_failed", extra={"region": self.region, "reason": reason})
        return GatewayDown(self.region)


def _part(text: str) -> str:
    """One part of a path. A case called `..` is none."""
    return quote(text, safe="").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="")
