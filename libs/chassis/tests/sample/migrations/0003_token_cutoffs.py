"""Access tokens that no longer count."""

from chassis.migrations import create_token_cutoffs

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    create_token_cutoffs()
