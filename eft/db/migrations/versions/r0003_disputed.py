"""What a digest file that came late says of an attachment, where it says something else."""

from alembic import op
import sqlalchemy as sa

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attachments", sa.Column("disputed_sha256", sa.String(64)))
