"""The public halves of the keys that sign receipts. The private ones are in the key store."""

from alembic import op
import sqlalchemy as sa

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "receipt_keys",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("slot", sa.Integer),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("retired_at", INSTANT),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_receipt_keys")),
        sa.UniqueConstraint("turn", name=op.f("uq_receipt_keys_turn")),
    )
