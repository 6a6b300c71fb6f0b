"""Uploads that are parts of another, and segments that lie elsewhere than where they were written."""

from alembic import op
import sqlalchemy as sa

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("concat", sa.Text()))
    op.add_column("uploads", sa.Column("parts", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("segments", sa.Column("shift", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
