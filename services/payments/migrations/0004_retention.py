"""Expired attempts and webhooks are pruned."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes by which expired rows are found."""
    op.create_index("ix_payment_attempts_created_at", "payment_attempts", ["created_at"])
    op.create_index("ix_provider_events_created_at", "provider_events", ["created_at"])
