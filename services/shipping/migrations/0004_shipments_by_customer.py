"""An index of shipments by customer."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    # Building it locks the table against writes. On a large table, create it concurrently before.
    op.create_index("ix_shipments_customer_id", "shipments", ["customer_id"], if_not_exists=True)
