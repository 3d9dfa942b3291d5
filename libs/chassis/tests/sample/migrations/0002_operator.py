"""What operators see and do: the audit trail and the dead letters."""

from chassis.ops.tables import create_operator_tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    create_operator_tables()
