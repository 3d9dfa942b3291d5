"""Orders, their lines, parcels and history, and the checkout saga."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from chassis.migrations import create_message_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    create_message_tables()
    op.create_table(
        "order_number_blocks",
        sa.Column("year", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_order_number_blocks")),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_number", sa.String(length=20), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("access_hash", sa.String(length=64), nullable=True),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("payment_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("subtotal_amount", sa.BigInteger(), nullable=False),
        sa.Column("discount_amount", sa.BigInteger(), nullable=False),
        sa.Column("shipping_amount", sa.BigInteger(), nullable=False),
        sa.Column("tax_amount", sa.BigInteger(), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("captured_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ship_to", JSONB(), nullable=False),
        sa.Column("bill_to", JSONB(), nullable=False),
        sa.Column("contact_email", sa.String(length=255), nullable=False),
        sa.Column("shipping_method", JSONB(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("payment_brand", sa.String(length=20), nullable=True),
        sa.Column("payment_last_four", sa.String(length=4), nullable=True),
        sa.Column("payment_reference", sa.String(length=255), nullable=True),
        sa.Column("coupon_code", sa.String(length=50), nullable=True),
        sa.Column("coupon_id", sa.Uuid(), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancellation_reason", sa.String(length=500), nullable=True),
        sa.Column("cancellation_state", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("updated_by", sa.String(length=100), nullable=False),
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
            "payment_method in ('card', 'paypal', 'wallet', 'cod', 'bank_transfer')",
            name=op.f("ck_orders_payment_method"),
        ),
        sa.CheckConstraint(
            "payment_status in ('pending', 'authorized', 'paid', 'failed', 'partially_refunded', 'refunded')",
            name=op.f("ck_orders_payment_status"),
        ),
        sa.CheckConstraint(
            "status in ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled', 'returned')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint(
            "captured_amount >= refunded_amount and refunded_amount >= 0",
            name=op.f("ck_orders_money"),
        ),
        sa.CheckConstraint("total_amount >= 0", name=op.f("ck_orders_total_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("order_number", name=op.f("uq_orders_order_number")),
    )
    op.create_index("ix_orders_contact_email", "orders", ["contact_email"], unique=False)
    op.create_index(
        "ix_orders_customer_id_placed_at",
        "orders",
        ["customer_id", "placed_at", "id"],
        unique=False,
    )
    op.create_index("ix_orders_placed_at_id", "orders", ["placed_at", "id"], unique=False)
    op.create_index(
        "ix_orders_status_placed_at", "orders", ["status", "placed_at", "id"], unique=False
    )
    op.create_index(
        "uq_orders_live_cart_id",
        "orders",
        ["cart_id"],
        unique=True,
        postgresql_where=sa.text("status <> 'cancelled'"),
    )
    op.create_table(
        "saga_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("heard", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("next_stage", sa.Text(), nullable=False),
        sa.Column("sent", JSONB(), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saga_log")),
    )
    op.create_index("ix_saga_log_order_id_at", "saga_log", ["order_id", "at"], unique=False)
    op.create_table(
        "checkout_sagas",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repeats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("progress", JSONB(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
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
            "stage in ('reserving', 'redeeming', 'collecting', 'awaiting_customer', 'cancelling_payment', 'refunding', 'releasing', 'fulfilling', 'needs_review', 'recalling', 'completed', 'cancelled')",
            name=op.f("ck_checkout_sagas_stage"),
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_checkout_sagas_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_checkout_sagas")),
    )
    op.create_index(
        "ix_checkout_sagas_deadline_at",
        "checkout_sagas",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text("deadline_at is not null"),
    )
    op.create_index(
        "ix_checkout_sagas_stage", "checkout_sagas", ["stage", "order_id"], unique=False
    )
    op.create_table(
        "order_history",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_history_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_history")),
    )
    op.create_index(
        "ix_order_history_order_id_at", "order_history", ["order_id", "at"], unique=False
    )
    op.create_table(
        "order_lines",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("seller_id", sa.Uuid(), nullable=True),
        sa.Column("sku", sa.String(length=50), nullable=False),
        sa.Column("product_name", sa.String(length=200), nullable=False),
        sa.Column("variant_description", sa.String(length=500), nullable=False),
        sa.Column("unit_price_amount", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("discount_amount", sa.BigInteger(), nullable=False),
        sa.Column("tax_amount", sa.BigInteger(), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("lead_time_days", sa.BigInteger(), nullable=False),
        sa.Column("customization", JSONB(), nullable=True),
        sa.Column("quantity_shipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quantity_returned", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("quantity between 1 and 99", name=op.f("ck_order_lines_quantity")),
        sa.CheckConstraint(
            "quantity_shipped between 0 and quantity and quantity_returned between 0 and quantity",
            name=op.f("ck_order_lines_moved"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_lines_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_lines")),
    )
    op.create_index("ix_order_lines_order_id", "order_lines", ["order_id"], unique=False)
    op.create_table(
        "order_shipments",
        sa.Column("shipment_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("handed_over", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("carrier", sa.String(length=100), nullable=True),
        sa.Column("tracking_number", sa.String(length=100), nullable=True),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_shipments_order_id")
        ),
        sa.PrimaryKeyConstraint("shipment_id", name=op.f("pk_order_shipments")),
    )
    op.create_index("ix_order_shipments_order_id", "order_shipments", ["order_id"], unique=False)
