"""Tokens of the control API and for uploads. Only the SHA-256 of a token is here, in hex."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from eft.db.rows import insert_new, record, values
from eft.db.statements import Records
from eft.db.tables import api_tokens, upload_tokens
from eft.domain.errors import AlreadyExists
from eft.domain.upload import Source

_API_BY_HASH = select(api_tokens).where(api_tokens.c.hash == bindparam("hash"), api_tokens.c.revoked_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token of the control API. `name` is who holds it, unique among those that are not revoked; `hash` in hex."""

    id: str
    name: str
    hash: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadToken:
    """A token that lets one case be written to, until and not at `expires_at`; `hash` in hex, `actor` is who had it issued."""

    id: str
    hash: str
    case_id: str
    source: Source
    expires_at: datetime
    created_at: datetime
    actor: str = ""


_UPLOAD_BY_HASH = Records(UploadToken, select(upload_tokens).where(upload_tokens.c.hash == bindparam("hash")))


def insert_api(conn: Connection, token: ApiToken) -> None:
    """Raises AlreadyExists where a token of that name is in use."""
    row = {**values(api_tokens, token), "scopes": " ".join(sorted(token.scopes))}
    if not insert_new(conn, api_tokens, row):
        raise AlreadyExists


def api_by_hash(conn: Connection, hash: str) -> ApiToken | None:
    """The token, unless it is unknown or revoked."""
    row = conn.execute(_API_BY_HASH, {"hash": hash}).one_or_none()
    return None if row is None else _api_token(row)


def list_api(conn: Connection) -> list[ApiToken]:
    """All of them, the revoked ones too, newest first."""
    query = select(api_tokens).order_by(api_tokens.c.created_at.desc(), api_tokens.c.id.desc())
    return [_api_token(row) for row in conn.execute(query)]


def revoke_api(conn: Connection, token_id: str, now: datetime) -> bool:
    """Whether there was such a token to revoke."""
    query = update(api_tokens).where(api_tokens.c.id == token_id, api_tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    return conn.execute(query).rowcount == 1


def insert_upload(conn: Connection, token: UploadToken) -> None:
    conn.execute(upload_tokens.insert(), values(upload_tokens, token))


def upload_by_hash(conn: Connection, hash: str, now: datetime) -> UploadToken | None:
    """The token, unless it is unknown or expired at this instant."""
    found = _UPLOAD_BY_HASH.one(conn, {"hash": hash})
    return None if found is None or found.expires_at <= now else found


def uploads_of_case(conn: Connection, case_id: str) -> list[UploadToken]:
    """The case's upload tokens that were not removed yet, newest first."""
    query = select(upload_tokens).where(upload_tokens.c.case_id == case_id)
    ordered = query.order_by(upload_tokens.c.created_at.desc(), upload_tokens.c.id.desc())
    return [record(UploadToken, row) for row in conn.execute(ordered)]


def revoke_upload(conn: Connection, token_id: str) -> bool:
    """Removes the token; whether there was one."""
    return conn.execute(delete(upload_tokens).where(upload_tokens.c.id == token_id)).rowcount == 1


def expire_uploads(conn: Connection, now: datetime) -> int:
    """Removes the upload tokens that have expired; how many."""
    return conn.execute(delete(upload_tokens).where(upload_tokens.c.expires_at <= now)).rowcount


def _api_token(row: Row[Any]) -> ApiToken:
    return ApiToken(**{**row._mapping, "scopes": frozenset(row.scopes.split())})
