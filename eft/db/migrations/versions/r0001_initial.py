"""The first schema: cases, uploads and their segments, attachments, accounts, tokens, directories, audit, leases.

A revision never changes once released, so it names no type or value of the program. Schemas only go forward: the way back is
a restored backup.
"""

from alembic import op
import sqlalchemy as sa

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("status", sa.String(24), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("sub_status", sa.String(24)),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.Column("hold_reason", sa.Text()),
        sa.Column("key_slot", sa.Integer()),
        sa.Column("purge", sa.String(24), nullable=False),
        sa.Column("purging_since", INSTANT),
        sa.Column("purged_at", INSTANT),
        sa.CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_cases_closed_at")),
        sa.CheckConstraint("purge IN ('none', 'purging', 'purged')", name=op.f("ck_cases_purge")),
        sa.CheckConstraint("status IN ('open', 'awaiting_info', 'solution_proposed', 'closed')", name=op.f("ck_cases_status")),
        sa.CheckConstraint("sub_status IN ('resolved', 'cancelled', 'no_response')", name=op.f("ck_cases_sub_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("uid", name=op.f("uq_cases_uid")),
    )
    _partial("ix_cases_closed", "cases", ["closed_at"], "status = 'closed' AND purge <> 'purged'")
    op.create_index("ix_cases_created", "cases", ["created_at", "id"])

    op.create_table(
        "uploads",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.String(24), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("length", sa.BigInteger()),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("declared_sha256", sa.String(64)),
        sa.Column("sha256", sa.String(64)),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("settles_at", INSTANT),
        sa.Column("frozen_at", INSTANT),
        sa.Column("ended", sa.Text()),
        sa.Column("modified_at", INSTANT),
        sa.Column("inline", sa.LargeBinary()),
        sa.CheckConstraint("source IN ('https', 'sftp', 'support')", name=op.f("ck_uploads_source")),
        sa.CheckConstraint("state <> 'frozen' OR frozen_at IS NOT NULL", name=op.f("ck_uploads_frozen_at")),
        sa.CheckConstraint(
            "state IN ('receiving', 'settling', 'sealed', 'published', 'frozen', 'refused', 'expired')",
            name=op.f("ck_uploads_state"),
        ),
        sa.CheckConstraint('"offset" >= 0', name=op.f("ck_uploads_offset")),
        sa.CheckConstraint("epoch >= 0", name=op.f("ck_uploads_epoch")),
        sa.CheckConstraint("length >= 0", name=op.f("ck_uploads_length")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_uploads_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_case_name", "uploads", ["case_id", "name"])
    op.create_index("ix_uploads_case_state", "uploads", ["case_id", "state"])
    op.create_index("ix_uploads_expires", "uploads", ["state", "expires_at"])
    op.create_index("ix_uploads_settles", "uploads", ["state", "settles_at"])

    op.create_table(
        "segments",
        sa.Column("upload_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger()),
        sa.Column("file_upload_id", sa.String(32), nullable=False),
        sa.Column("file_epoch", sa.Integer(), nullable=False),
        sa.CheckConstraint('start >= 0 AND ("end" IS NULL OR "end" >= start)', name=op.f("ck_segments_range")),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_segments_upload_id")),
        sa.PrimaryKeyConstraint("upload_id", "epoch", name=op.f("pk_segments")),
    )
    op.create_index("ix_segments_file", "segments", ["file_upload_id", "file_epoch"])
    _partial("ix_segments_open", "segments", ["upload_id"], '"end" IS NULL')

    op.create_table(
        "attachments",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("source", sa.String(24), nullable=False),
        sa.Column("completeness", sa.String(24), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("modified_at", INSTANT),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("manifest", sa.LargeBinary()),
        sa.Column("inline", sa.LargeBinary()),
        sa.Column("gone_at", INSTANT),
        sa.CheckConstraint("completeness IN ('declared', 'closed')", name=op.f("ck_attachments_completeness")),
        sa.CheckConstraint("source IN ('https', 'sftp', 'support')", name=op.f("ck_attachments_source")),
        sa.CheckConstraint("state IN ('available', 'tombstoned', 'purged')", name=op.f("ck_attachments_state")),
        sa.CheckConstraint("manifest IS NULL OR inline IS NULL", name=op.f("ck_attachments_one_body")),
        sa.CheckConstraint("size >= 0", name=op.f("ck_attachments_size")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_attachments_version")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_attachments_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    op.create_index("ix_attachments_case_name", "attachments", ["case_id", "name", "version"])
    op.create_index("ix_attachments_case_received", "attachments", ["case_id", "received_at", "id"])

    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("secret_slot", sa.Integer()),
        sa.Column("revoked_at", INSTANT),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_accounts_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("username", name=op.f("uq_accounts_username")),
    )
    op.create_index("ix_accounts_case", "accounts", ["case_id"])
    _partial("ix_accounts_secrets", "accounts", ["expires_at"], "secret_slot IS NOT NULL")

    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_tokens_hash")),
    )
    _partial("uq_api_tokens_live_name", "api_tokens", ["name"], "revoked_at IS NULL", unique=True)

    op.create_table(
        "upload_tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("source", sa.String(24), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("source IN ('https', 'sftp', 'support')", name=op.f("ck_upload_tokens_source")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_upload_tokens_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_upload_tokens_hash")),
    )
    op.create_index("ix_upload_tokens_case", "upload_tokens", ["case_id"])
    op.create_index("ix_upload_tokens_expires", "upload_tokens", ["expires_at"])

    op.create_table(
        "directories",
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_directories_case_id")),
        sa.PrimaryKeyConstraint("case_id", "path", name=op.f("pk_directories")),
    )

    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(64)),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_case", "audit", ["case_id", "id"])

    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )


def _partial(name: str, table: str, columns: list[str], where: str, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
