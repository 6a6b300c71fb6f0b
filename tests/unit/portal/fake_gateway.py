"""A gateway's control API in memory, true to its contract: what the portal's pages are tested against without a process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
import json
from pathlib import Path
from typing import Any

import httpx

from eft.domain.clock import Clock
from eft.domain.public_key import MOST_KEYS, parse_public_key
from eft.portal.gateways import Gateway
from eft.portal.settings import GatewaySettings

RETENTION = timedelta(days=30)


def text_of(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


class FakeGateway:
    """`calls` has every call: method, path, and for whom it was made. `down` makes it unreachable."""

    def __init__(self, region: str, clock: Clock) -> None:
        self.region = region
        self.clock = clock
        self.cases: dict[str, dict[str, Any]] = {}
        self.attachments: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.uploads: dict[str, list[dict[str, Any]]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.launched: list[dict[str, Any]] = []
        self.down = False

    def gateway(self, settings: GatewaySettings) -> Gateway:
        transport = httpx.MockTransport(self.answer)
        return Gateway(self.region, settings, httpx.AsyncClient(base_url=f"{settings.url}/api/v1/", transport=transport))

    def put(self, case_id: str, organisation: str = "Example", subject: str = "A subject") -> str:
        self.cases[case_id] = {
            "id": case_id,
            "organisation": organisation,
            "subject": subject,
            "status": "open",
            "sub_status": None,
            "comment": "",
            "created_at": text_of(self.clock.now()),
            "closed_at": None,
            "purge_at": None,
            "hold_reason": None,
            "purge": "none",
            "purged_at": None,
        }
        return case_id

    def close(self, case_id: str, sub_status: str = "resolved", comment: str = "done") -> None:
        now = self.clock.now()
        self.cases[case_id].update(
            status="closed", sub_status=sub_status, comment=comment, closed_at=text_of(now), purge_at=text_of(now + RETENTION)
        )

    def attach(self, case_id: str, name: str, content: bytes = b"bytes") -> str:
        made = f"a{len(self.attachments) + 1}"
        self.attachments[made] = {
            "id": made,
            "case_id": case_id,
            "name": name,
            "size": len(content),
            "sha256": "ab" * 32,
            "source": "https",
            "completeness": "declared",
            "state": "available",
            "received_at": text_of(self.clock.now()),
            "purge_at": None,
            "gone_at": None,
        }
        self.contents[made] = content
        return made

    def purge(self, case_id: str) -> None:
        now = text_of(self.clock.now())
        self.cases[case_id].update(purge="purged", purged_at=now)
        for each in self.attachments.values():
            if each["case_id"] == case_id:
                each.update(state="purged", gone_at=now)

    def account(self, case_id: str) -> None:
        self.accounts[case_id] = {
            "username": f"eft_{self.region}_abc",
            "password": "the-secret-word",
            "host": "sftp.example",
            "port": 2221,
            "host_key_fingerprints": ["SHA256:fingerprint"],
            "expires_at": text_of(self.clock.now() + timedelta(hours=120)),
        }

    def _register(self, case_id: str, text: str, actor: str) -> httpx.Response:
        key = parse_public_key(text)
        known = self.keys.setdefault(case_id, [])
        if len(known) >= MOST_KEYS:
            return _problem(409, "too-many-keys")
        made = {
            "id": f"{len(self.calls):032x}",
            "type": key.kind,
            "bits": key.bits,
            "fingerprint": key.fingerprint,
            "comment": key.comment,
            "added_at": text_of(self.clock.now()),
            "added_by": f"{actor} (via token:portal)",
        }
        known.insert(0, made)
        return httpx.Response(201, json=made)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused")
        path = request.url.path.removeprefix("/api/v1/")
        self.calls.append((request.method, path, request.headers.get("eft-actor", "")))
        if request.headers.get("authorization") != f"Bearer token-{self.region}":
            return _problem(401, "unauthenticated")
        body = json.loads(request.content) if request.content else {}
        parts = path.split("/")
        if parts == ["cases"]:
            return _page(list(self.cases.values()))
        if parts[0] == "attachments":
            return self._attachment(parts)
        return self._case(request, parts[1], parts[2:], body)

    def _attachment(self, parts: list[str]) -> httpx.Response:
        found = self.attachments.get(parts[1])
        if found is None:
            return _problem(404, "not-found")
        if parts[2:] == ["content"]:
            return (
                _problem(410, "purged")
                if found["state"] == "purged"
                else httpx.Response(200, content=_stream(self.contents[parts[1]]))
            )
        return httpx.Response(200, json=found)

    def _case(self, request: httpx.Request, case_id: str, rest: list[str], body: dict[str, Any]) -> httpx.Response:
        case = self.cases.get(case_id)
        if request.method == "PUT":
            self.put(case_id, body["organisation"], body["subject"])
            return httpx.Response(201, json=self.cases[case_id])
        if case is None:
            return _problem(404, "not-found")
        closed = case["status"] == "closed"
        match request.method, rest:
            case "GET", []:
                return httpx.Response(200, json=case)
            case "POST", ["close"]:
                self.close(case_id, body["sub_status"], body["comment"])
                self.accounts.pop(case_id, None)
                return httpx.Response(200, json=case)
            case "POST", ["reopen"]:
                assert body["reason"]
                late = closed and self.clock.now() >= datetime.fromisoformat(case["closed_at"]) + RETENTION
                if body["actor"] == "customer" and late:
                    return _problem(403, "reopen-too-late")
                if body["actor"] == "customer" and case["sub_status"] == "no_response":
                    return _problem(403, "reopen-by-telephone")
                case.update(status="open", sub_status=None, comment="", closed_at=None, purge_at=None, purge="none")
                return httpx.Response(200, json=case)
            case "GET", ["attachments"]:
                return _page([each for each in self.attachments.values() if each["case_id"] == case_id])
            case "GET", ["uploads"]:
                return _page(self.uploads.get(case_id, []))
            case "POST", ["launch"]:
                if closed:
                    return _problem(403, "case-closed")
                self.launched.append(body["actor"])
                return httpx.Response(201, json={"url": f"https://page-{self.region}.test/launch/t", "expires_at": "x"})
            case "POST", ["upload-tokens"]:
                expires = text_of(self.clock.now() + timedelta(days=1))
                return httpx.Response(201, json={"token": f"eft_{self.region}_up_token", "expires_at": expires})
            case "POST", ["sftp-account"]:
                if closed:
                    return _problem(403, "case-closed")
                self.account(case_id)
                return httpx.Response(201, json=self.accounts[case_id])
            case "GET", ["sftp-account"] if case_id in self.accounts:
                shown = dict(self.accounts[case_id])
                if request.url.params.get("password") == "false":
                    del shown["password"]
                return httpx.Response(200, json=shown)
            case "GET", ["sftp-account", "keys"] if case_id in self.accounts:
                return _page(self.keys.get(case_id, []))
            case "POST", ["sftp-account", "keys"] if case_id in self.accounts:
                return self._register(case_id, body["public_key"], request.headers["eft-actor"])
            case "DELETE", ["sftp-account", "keys", key_id] if case_id in self.accounts:
                kept = [each for each in self.keys.get(case_id, []) if each["id"] != key_id]
                found = len(kept) < len(self.keys.get(case_id, []))
                self.keys[case_id] = kept
                return httpx.Response(204) if found else _problem(404, "not-found")
            case "DELETE", ["sftp-account"]:
                self.accounts.pop(case_id, None)
                return httpx.Response(204)
        return _problem(404, "not-found")


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _page(items: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next": None})


def _problem(status: int, code: str) -> httpx.Response:
    told = {"status": status, "code": code, "detail": f"Refused: {code}.", "remedy": "Do something else."}
    return httpx.Response(status, json=told, headers={"content-type": "application/problem+json"})


def secret(file: Path, text: str) -> Path:
    file.touch(mode=0o600)
    file.write_text(text)
    return file
