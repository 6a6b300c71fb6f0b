"""Every table. Times are UTC (columns.Instant), ids 32 hex digits made by us, case ids the case system's.

No key is here, wrapped or not: a database copies what it stores into logs, free pages and replicas (DESIGN §4.2). What is sealed
(manifests, small files) may be.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from eft.db.columns import Choice, Instant
from eft.domain.attachment import AttachmentState
from eft.domain.case import CaseStatus, PurgeState, SubStatus
from eft.domain.person import Role
from eft.domain.upload import Completeness, Source, UploadState

SCHEMA = "0007"
"""The migration that makes exactly these tables. `Database.open` refuses any other."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    values = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} IN ({values})", name=column)


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


cases = Table(
    "cases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("uid", String(32), nullable=False, unique=True),
    Column("organisation", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Choice(CaseStatus), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sub_status", Choice(SubStatus)),
    Column("comment", Text, nullable=False),
    Column("closed_at", Instant),
    Column("hold_reason", Text),
    Column("key_slot", Integer),
    Column("purge", Choice(PurgeState), nullable=False),
    Column("purging_since", Instant),
    Column("purged_at", Instant),
    _one_of("status", CaseStatus),
    _one_of("sub_status", SubStatus),
    _one_of("purge", PurgeState),
    CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_at"),
    Index("ix_cases_created", "created_at", "id"),
    _partial("ix_cases_closed", "closed_at", where="status = 'closed' AND purge <> 'purged'"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case_id", String(64), ForeignKey("cases.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Choice(Source), nullable=False),
    Column("state", Choice(UploadState), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("length", BigInteger),
    Column("offset", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("holder", Text),
    Column("metadata", Text, nullable=False),
    Column("declared_sha256", String(64)),
    Column("sha256", String(64)),
    Column("actor", Text, nullable=False),
    Column("settles_at", Instant),
    Column("frozen_at", Instant),
    Column("ended", Text),
    Column("modified_at", Instant),
    Column("inline", LargeBinary),
    Column("concat", Text),
    Column("parts", Text, nullable=False, server_default=text("''")),
    Column("in_draft", Boolean, nullable=False, server_default=false()),
    _one_of("source", Source),
    _one_of("state", UploadState),
    CheckConstraint('"offset" >= 0', name="offset"),
    CheckConstraint("length >= 0", name="length"),
    CheckConstraint("epoch >= 0", name="epoch"),
    CheckConstraint("state <> 'frozen' OR frozen_at IS NOT NULL", name="frozen_at"),
    Index("ix_uploads_case_state", "case_id", "state"),
    Index("ix_uploads_case_name", "case_id", "name"),
    Index("ix_uploads_settles", "state", "settles_at"),
    Index("ix_uploads_expires", "state", "expires_at"),
)

segments = Table(
    "segments",
    metadata,
    Column("upload_id", String(32), ForeignKey("uploads.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger),
    Column("file_upload_id", String(32), nullable=False),
    Column("file_epoch", Integer, nullable=False),
    Column("shift", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint('start >= 0 AND ("end" IS NULL OR "end" >= start)', name="range"),
    Index("ix_segments_file", "file_upload_id", "file_epoch"),
    _partial("ix_segments_open", "upload_id", where='"end" IS NULL'),
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case_id", String(64), ForeignKey("cases.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("source", Choice(Source), nullable=False),
    Column("completeness", Choice(Completeness), nullable=False),
    Column("state", Choice(AttachmentState), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("modified_at", Instant),
    Column("actor", Text, nullable=False),
    Column("manifest", LargeBinary),
    Column("inline", LargeBinary),
    Column("gone_at", Instant),
    Column("disputed_sha256", String(64)),
    _one_of("source", Source),
    _one_of("completeness", Completeness),
    _one_of("state", AttachmentState),
    CheckConstraint("size >= 0", name="size"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("manifest IS NULL OR inline IS NULL", name="one_body"),
    Index("ix_attachments_case_received", "case_id", "received_at", "id"),
    Index("ix_attachments_case_name", "case_id", "name", "version"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case_id", String(64), ForeignKey("cases.id"), nullable=False),
    Column("username", String(64), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("secret_slot", Integer),
    Column("revoked_at", Instant),
    Index("ix_accounts_case", "case_id"),
    _partial("ix_accounts_secrets", "expires_at", where="secret_slot IS NOT NULL"),
)

account_keys = Table(
    "account_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("bits", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("added_by", Text, nullable=False),
    UniqueConstraint("account_id", "fingerprint"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index(
        "uq_api_tokens_live_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

upload_tokens = Table(
    "upload_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("case_id", String(64), ForeignKey("cases.id"), nullable=False),
    Column("source", Choice(Source), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    _one_of("source", Source),
    Index("ix_upload_tokens_case", "case_id"),
    Index("ix_upload_tokens_expires", "expires_at"),
)

launch_tickets = Table(
    "launch_tickets",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("case_id", String(64), ForeignKey("cases.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Choice(Role), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    _one_of("role", Role),
    Index("ix_launch_tickets_expires", "expires_at"),
)

page_sessions = Table(
    "page_sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Choice(Role), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("touched_at", Instant, nullable=False),
    _one_of("role", Role),
    Index("ix_page_sessions_expires", "expires_at"),
)

page_grants = Table(
    "page_grants",
    metadata,
    Column("session_id", String(32), ForeignKey("page_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("case_id", String(64), ForeignKey("cases.id"), primary_key=True),
    Column("expires_at", Instant, nullable=False),
    Index("ix_page_grants_case", "case_id"),
)

directories = Table(
    "directories",
    metadata,
    Column("case_id", String(64), ForeignKey("cases.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("case_id", String(64)),
    Column("subject", Text, nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("detail", JSON, nullable=False),
    Index("ix_audit_case", "case_id", "id"),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

receipt_keys = Table(
    "receipt_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("slot", Integer),
    Column("made_at", Instant, nullable=False),
    Column("retired_at", Instant),
    Column("turn", Integer, nullable=False, unique=True),
)
