"""Which protocol began an upload: a request that names none is then taken for that one's."""

from alembic import op
import sqlalchemy as sa

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("in_draft", sa.Boolean(), nullable=False, server_default=sa.false()))
