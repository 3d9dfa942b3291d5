"""The secret of an e-mail token exists once its mail is written, not before."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.alter_column("email_tokens", "token_hash", nullable=True)
