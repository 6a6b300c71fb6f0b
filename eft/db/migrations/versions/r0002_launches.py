"""Launch tickets, the browser sessions they turn into, and the cases that a session may see."""

from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "launch_tickets",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT),
        sa.CheckConstraint("role IN ('customer', 'staff')", name=op.f("ck_launch_tickets_role")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_launch_tickets_case_id_cases")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_launch_tickets")),
    )
    op.create_index("ix_launch_tickets_expires", "launch_tickets", ["expires_at"])
    op.create_table(
        "page_sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("touched_at", INSTANT, nullable=False),
        sa.CheckConstraint("role IN ('customer', 'staff')", name=op.f("ck_page_sessions_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_sessions")),
        sa.UniqueConstraint("hash", name=op.f("uq_page_sessions_hash")),
    )
    op.create_index("ix_page_sessions_expires", "page_sessions", ["expires_at"])
    op.create_table(
        "page_grants",
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_page_grants_case_id_cases")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["page_sessions.id"], name=op.f("fk_page_grants_session_id_page_sessions"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "case_id", name=op.f("pk_page_grants")),
    )
    op.create_index("ix_page_grants_case", "page_grants", ["case_id"])
