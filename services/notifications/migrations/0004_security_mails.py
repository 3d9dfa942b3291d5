"""Mails about the security of an account."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TYPES = (
    "verification",
    "password_reset",
    "password_changed",
    "session_compromised",
    "order_confirmation",
    "order_shipped",
    "order_in_transit",
    "order_out_for_delivery",
    "order_delivered",
    "delivery_failed",
    "order_cancelled",
    "refund",
)


def upgrade() -> None:
    """Admit the new types."""
    listed = ", ".join(f"'{kind}'" for kind in TYPES)
    for table in ("email_messages", "notifications"):
        op.drop_constraint(op.f(f"ck_{table}_type"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_type"), table, f"type in ({listed})")
