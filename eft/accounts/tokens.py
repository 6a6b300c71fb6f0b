"""Bearer tokens: API tokens with scopes, and upload tokens for one case. Only their SHA-256 is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
import re
import secrets

from eft.accounts.prefixes import foreign_region
from eft.db import audit, cases
from eft.db import tokens as rows
from eft.db.engine import Connection, Database
from eft.db.tokens import ApiToken, UploadToken
from eft.domain.actor import Actor
from eft.domain.clock import Clock
from eft.domain.errors import AlreadyExists, CaseClosed, Invalid, NotFound, Unauthenticated, WrongRegion
from eft.domain.region import Region
from eft.domain.upload import Source

DEFAULT_TTL_S = 24 * 60 * 60
LONGEST_TTL_S = 7 * 24 * 60 * 60

_TOKEN = re.compile(r"eft_([a-z0-9-]{1,32})_(api|up)_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Scope(StrEnum):
    """What an API token may do."""

    CASES_READ = "cases:read"
    CASES_WRITE = "cases:write"
    ATTACHMENTS_READ = "attachments:read"
    ATTACHMENTS_WRITE = "attachments:write"
    TOKENS_WRITE = "tokens:write"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    RETENTION_WRITE = "retention:write"


@dataclass(frozen=True, slots=True)
class ApiPrincipal:
    """Who an API token stands for."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class UploadPrincipal:
    """Whoever may send files to one case: the source they are listed under, and the name that the audit log knows."""

    name: str
    case_id: str
    source: Source


class Tokens:
    """Issues, checks and revokes tokens.

    A token is `eft_REGION_KIND_` and 43 URL-safe characters (256 bits). A slow hash would add nothing to that, so it is
    looked up by its SHA-256, which is also what makes the look-up independent of how much of a guess is right.
    """

    def __init__(self, *, database: Database, clock: Clock, region: str, regions: Mapping[str, Region]) -> None:
        self._database = database
        self._clock = clock
        self._region = region
        self._regions = regions

    async def issue_upload(self, case_id: str, ttl_s: int, source: Source, actor: Actor) -> tuple[str, datetime]:
        """A token for uploads to one open case, and when it expires. `ttl_s` in seconds, 1 to 604,800.

        Raises Invalid, NotFound, CaseClosed.
        """
        if not 1 <= ttl_s <= LONGEST_TTL_S:
            raise Invalid(f"ttl_s is not between 1 and {LONGEST_TTL_S} seconds.", "Ask for at most seven days.")
        if source is Source.SFTP:
            raise Invalid("An upload token is for the source https or support.", "Name one of them, or leave it out.")
        token = self._new("up")

        def work(conn: Connection) -> datetime:
            case = cases.lock(conn, case_id)
            if case is None:
                raise NotFound
            if not case.takes_data:
                raise CaseClosed
            now = self._clock.now()
            row = UploadToken(
                id=secrets.token_hex(16),
                hash=_hash(token),
                case_id=case_id,
                source=source,
                expires_at=now + timedelta(seconds=ttl_s),
                created_at=now,
                actor=actor.name,
            )
            rows.insert_upload(conn, row)
            audit.record(
                conn,
                at=now,
                actor=actor,
                action="token.issue",
                case_id=case_id,
                subject=row.id,
                outcome="done",
                detail={"source": source.value, "expires_at": row.expires_at.isoformat()},
            )
            return row.expires_at

        return token, await self._database.write(work)

    async def issue_api(self, name: str, scopes: Iterable[str], actor: Actor) -> str:
        """An API token under a name of its own, valid until it is revoked.

        Raises Invalid for an unknown scope, none, or a name that is not `[A-Za-z0-9._-]{1,64}`; AlreadyExists for a taken name.
        """
        wanted = frozenset(scopes)
        unknown = sorted(wanted - {scope.value for scope in Scope})
        if unknown or not wanted:
            known = ", ".join(scope.value for scope in Scope)
            raise Invalid("A scope is unknown." if unknown else "A token needs a scope.", f"The scopes are {known}.")
        if not _NAME.fullmatch(name):
            raise Invalid("A token's name has 1 to 64 letters, digits, dots, underscores or dashes.", "Correct the name.")
        token = self._new("api")

        def work(conn: Connection) -> None:
            now = self._clock.now()
            row = ApiToken(id=secrets.token_hex(16), name=name, hash=_hash(token), scopes=wanted, created_at=now)
            try:
                rows.insert_api(conn, row)
            except AlreadyExists:
                raise AlreadyExists("There is a token by that name.", "Revoke it first, or choose another name.") from None
            audit.record(
                conn,
                at=now,
                actor=actor,
                action="token.create",
                case_id=None,
                subject=name,
                outcome="done",
                detail={"scopes": sorted(wanted)},
            )

        await self._database.write(work)
        return token

    async def revoke_api(self, name: str, actor: Actor) -> None:
        """The living API token of that name is refused from now on. Raises NotFound."""

        def work(conn: Connection) -> None:
            now = self._clock.now()
            living = [token for token in rows.list_api(conn) if token.name == name and token.revoked_at is None]
            if not any(rows.revoke_api(conn, token.id, now) for token in living):
                raise NotFound("There is no living token by that name.", "List the tokens to see their names.")
            audit.record(conn, at=now, actor=actor, action="token.revoke", case_id=None, subject=name, outcome="done", detail={})

        await self._database.write(work)

    async def list_api(self) -> list[ApiToken]:
        """The API tokens, revoked ones too."""
        return await self._database.read(rows.list_api)

    async def authenticate(self, token: str) -> ApiPrincipal | UploadPrincipal:
        """Whom the token stands for.

        Raises Unauthenticated (unknown, revoked, expired and malformed are one answer) and WrongRegion, which is decided by the
        prefix alone.
        """
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise Unauthenticated
        other = foreign_region(token, self._region, self._regions)
        if other is not None:
            raise WrongRegion(other.name, other.url)
        digest = _hash(token)
        if found.group(2) == "api":
            api = await self._database.read(lambda conn: rows.api_by_hash(conn, digest))
            if api is None:
                raise Unauthenticated
            return ApiPrincipal(api.name, api.scopes)
        upload = await self._database.read(lambda conn: rows.upload_by_hash(conn, digest, self._clock.now()))
        if upload is None:
            raise Unauthenticated
        return UploadPrincipal(f"upload-token:{upload.id}", upload.case_id, upload.source)

    async def forget_expired(self) -> int:
        """Removes upload tokens that have expired. Returns how many."""
        return await self._database.write(lambda conn: rows.expire_uploads(conn, self._clock.now()))

    def _new(self, kind: str) -> str:
        return f"eft_{self._region}_{kind}_{secrets.token_urlsafe(32)}"


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
