"""Providers, methods, fulfilments, shipments and tracking events."""

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
        "fulfilments",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=50), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
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
            "(reason is not null) = (status = 'impossible')", name=op.f("ck_fulfilments_reason")
        ),
        sa.CheckConstraint(
            "status in ('created', 'impossible', 'cancelled')", name=op.f("ck_fulfilments_status")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_fulfilments")),
    )
    op.create_table(
        "shipping_providers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("adapter", sa.String(length=20), nullable=False),
        sa.Column("contact_email", sa.String(length=255), nullable=True),
        sa.Column("contact_phone", sa.String(length=20), nullable=True),
        sa.Column("api_endpoint", sa.String(length=500), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
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
            "adapter in ('manual', 'sandbox')", name=op.f("ck_shipping_providers_adapter")
        ),
        sa.CheckConstraint(
            "status in ('active', 'inactive')", name=op.f("ck_shipping_providers_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipping_providers")),
        sa.UniqueConstraint("code", name=op.f("uq_shipping_providers_code")),
    )
    op.create_table(
        "shipments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("order_number", sa.String(length=20), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("access_hash", sa.String(length=64), nullable=True),
        sa.Column("seller_id", sa.Uuid(), nullable=True),
        sa.Column("warehouse_id", sa.Uuid(), nullable=False),
        sa.Column("ship_to", postgresql.JSONB(), nullable=False),
        sa.Column("shipping_method_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(length=50), nullable=False),
        sa.Column("carrier", sa.String(length=100), nullable=True),
        sa.Column("tracking_number", sa.String(length=100), nullable=True),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("collect_amount", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
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
            "(shipped_at is null) = (status in ('pending', 'scheduled', 'packed', 'cancelled'))",
            name=op.f("ck_shipments_shipped_at"),
        ),
        sa.CheckConstraint(
            "status <> 'delivered' or delivered_at is not null",
            name=op.f("ck_shipments_delivered_at"),
        ),
        sa.CheckConstraint(
            "status in ('pending', 'scheduled', 'packed', 'in_transit', 'out_for_delivery', 'delivered', 'failed', 'returned', 'cancelled')",
            name=op.f("ck_shipments_status"),
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_shipments_amount")),
        sa.CheckConstraint("collect_amount >= 0", name=op.f("ck_shipments_collect_amount")),
        sa.CheckConstraint("jsonb_array_length(lines) > 0", name=op.f("ck_shipments_lines")),
        sa.CheckConstraint("scheduled_for >= placed_at", name=op.f("ck_shipments_scheduled_for")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["fulfilments.order_id"], name=op.f("fk_shipments_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipments")),
    )
    op.create_index(op.f("ix_shipments_order_id"), "shipments", ["order_id"], unique=False)
    op.create_index("ix_shipments_status", "shipments", ["status", "id"], unique=False)
    op.create_index(
        "uq_shipments_tracking_number",
        "shipments",
        ["provider", "tracking_number"],
        unique=True,
        postgresql_where=sa.text("tracking_number is not null"),
    )
    op.create_table(
        "shipping_methods",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("zones", postgresql.JSONB(), nullable=False),
        sa.Column("priced_by", sa.String(length=10), nullable=False),
        sa.Column("tiers", postgresql.JSONB(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("free_over_amount", sa.BigInteger(), nullable=True),
        sa.Column("estimated_days", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
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
            "priced_by in ('weight', 'value')", name=op.f("ck_shipping_methods_priced_by")
        ),
        sa.CheckConstraint(
            "estimated_days between 0 and 365", name=op.f("ck_shipping_methods_estimated_days")
        ),
        sa.CheckConstraint(
            "free_over_amount >= 0", name=op.f("ck_shipping_methods_free_over_amount")
        ),
        sa.CheckConstraint("jsonb_array_length(tiers) > 0", name=op.f("ck_shipping_methods_tiers")),
        sa.CheckConstraint("jsonb_array_length(zones) > 0", name=op.f("ck_shipping_methods_zones")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["shipping_providers.id"], name=op.f("fk_shipping_methods_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipping_methods")),
        sa.UniqueConstraint("name", name=op.f("uq_shipping_methods_name")),
    )
    op.create_index(
        "ix_shipping_methods_offered",
        "shipping_methods",
        ["currency"],
        unique=False,
        postgresql_where=sa.text("is_active"),
    )
    op.create_index(
        op.f("ix_shipping_methods_provider_id"), "shipping_methods", ["provider_id"], unique=False
    )
    op.create_table(
        "tracking_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shipment_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("location", sa.String(length=200), nullable=True),
        sa.Column("remarks", sa.String(length=500), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "type in ('order_received', 'packed', 'shipped', 'in_transit', 'out_for_delivery', 'delivered', 'failed')",
            name=op.f("ck_tracking_events_type"),
        ),
        sa.ForeignKeyConstraint(
            ["shipment_id"], ["shipments.id"], name=op.f("fk_tracking_events_shipment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tracking_events")),
        sa.UniqueConstraint(
            "shipment_id",
            "type",
            "occurred_at",
            name=op.f("uq_tracking_events_shipment_id_type_occurred_at"),
        ),
        sa.UniqueConstraint(
            "source", "external_id", name=op.f("uq_tracking_events_source_external_id")
        ),
    )
