"""Deleted addresses are pruned."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes by which expired rows are found."""
    op.create_index(
        "ix_addresses_deleted_at",
        "addresses",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at is not null"),
    )
