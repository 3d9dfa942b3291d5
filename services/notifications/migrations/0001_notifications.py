"""Notifications, preferences and the queue of mails."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import create_message_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    create_message_tables()
    op.create_table(
        "email_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("locale", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("recipient", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("reference_type", sa.String(length=20), nullable=False),
        sa.Column("reference_id", sa.Uuid(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.String(length=20), server_default="pending", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(due_at is null) = (status in ('sent', 'failed'))",
            name=op.f("ck_email_messages_due_at"),
        ),
        sa.CheckConstraint(
            "(sent_at is null) = (status <> 'sent')", name=op.f("ck_email_messages_sent_at")
        ),
        sa.CheckConstraint(
            "status <> 'sent' or payload = '{}'", name=op.f("ck_email_messages_payload_of_sent")
        ),
        sa.CheckConstraint(
            "status in ('pending', 'processing', 'sent', 'failed')",
            name=op.f("ck_email_messages_status"),
        ),
        sa.CheckConstraint(
            "type in ('verification', 'password_reset', 'order_confirmation', 'order_shipped', 'order_in_transit', 'order_out_for_delivery', 'order_delivered', 'delivery_failed', 'order_cancelled', 'refund')",
            name=op.f("ck_email_messages_type"),
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_email_messages_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_messages")),
        sa.UniqueConstraint(
            "type", "reference_type", "reference_id", name="uq_email_messages_once"
        ),
    )
    op.create_index(
        "ix_email_messages_due_at",
        "email_messages",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at is not null"),
    )
    op.create_index(
        "ix_email_messages_expires_at",
        "email_messages",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'failed' and payload <> '{}'"),
    )
    op.create_index(
        "ix_email_messages_recipient",
        "email_messages",
        [sa.literal_column("lower(recipient)"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_email_messages_reference_id", "email_messages", ["reference_id"], unique=False
    )
    op.create_index("ix_email_messages_status", "email_messages", ["status", "id"], unique=False)
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("content", sa.String(length=1000), nullable=False),
        sa.Column("reference_type", sa.String(length=20), nullable=False),
        sa.Column("reference_id", sa.Uuid(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "type in ('verification', 'password_reset', 'order_confirmation', 'order_shipped', 'order_in_transit', 'order_out_for_delivery', 'order_delivered', 'delivery_failed', 'order_cancelled', 'refund')",
            name=op.f("ck_notifications_type"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            "user_id", "type", "reference_type", "reference_id", name="uq_notifications_once"
        ),
    )
    op.create_index(
        "ix_notifications_unread",
        "notifications",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("read_at is null"),
    )
    op.create_index("ix_notifications_user_id", "notifications", ["user_id", "id"], unique=False)
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("switched_off", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "switched_off <@ array['order_confirmation:in_app', 'order_shipped:in_app', 'order_shipped:email', 'order_in_transit:in_app', 'order_in_transit:email', 'order_out_for_delivery:in_app', 'order_out_for_delivery:email', 'order_delivered:in_app', 'order_delivered:email', 'delivery_failed:in_app', 'delivery_failed:email', 'order_cancelled:in_app', 'refund:in_app']::text[]",
            name=op.f("ck_preferences_switched_off"),
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_preferences")),
    )
