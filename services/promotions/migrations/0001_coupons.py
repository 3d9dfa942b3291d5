"""Coupons and their redemptions."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import create_message_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    create_message_tables()
    op.create_table(
        "coupons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("discount_type", sa.String(length=20), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.CHAR(length=3), nullable=True),
        sa.Column("min_order_amount", sa.BigInteger(), nullable=True),
        sa.Column("max_uses", sa.BigInteger(), nullable=True),
        sa.Column("max_uses_per_customer", sa.BigInteger(), nullable=True),
        sa.Column("uses_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("starts_at", sa.Date(), nullable=True),
        sa.Column("ends_at", sa.Date(), nullable=True),
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
            "(discount_type = 'percentage' and value between 1 and 10000) or (discount_type = 'fixed' and value >= 1 and currency is not null) or (discount_type = 'free_shipping' and value is null)",
            name=op.f("ck_coupons_value"),
        ),
        sa.CheckConstraint("code = upper(code) and code <> ''", name=op.f("ck_coupons_code")),
        sa.CheckConstraint("status in ('active', 'disabled')", name=op.f("ck_coupons_status")),
        sa.CheckConstraint("ends_at >= starts_at", name=op.f("ck_coupons_window")),
        sa.CheckConstraint(
            "max_uses_per_customer >= 1", name=op.f("ck_coupons_max_uses_per_customer")
        ),
        sa.CheckConstraint(
            "min_order_amount is null or (min_order_amount >= 0 and currency is not null)",
            name=op.f("ck_coupons_min_order_amount"),
        ),
        sa.CheckConstraint("uses_count >= 0", name=op.f("ck_coupons_uses_count")),
        sa.CheckConstraint("uses_count between 0 and max_uses", name=op.f("ck_coupons_max_uses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupons")),
        sa.UniqueConstraint("code", name=op.f("uq_coupons_code")),
    )
    op.create_table(
        "redemptions",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("coupon_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.String(length=50), nullable=True),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("redeemer", sa.String(length=100), nullable=True),
        sa.Column("discount_amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.CHAR(length=3), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=30), nullable=True),
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
            "(reason is not null) = (state = 'rejected')", name=op.f("ck_redemptions_reason")
        ),
        sa.CheckConstraint(
            "state in ('reserved', 'redeemed', 'released', 'rejected')",
            name=op.f("ck_redemptions_state"),
        ),
        sa.CheckConstraint(
            "state not in ('reserved', 'redeemed') or (coupon_id is not null and code is not null and redeemer is not null and discount_amount is not null and currency is not null)",
            name=op.f("ck_redemptions_held"),
        ),
        sa.CheckConstraint("discount_amount >= 0", name=op.f("ck_redemptions_discount_amount")),
        sa.ForeignKeyConstraint(
            ["coupon_id"], ["coupons.id"], name=op.f("fk_redemptions_coupon_id")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_redemptions")),
    )
    op.create_index(
        "ix_redemptions_coupon_id", "redemptions", ["coupon_id", "order_id"], unique=False
    )
    op.create_index(
        "ix_redemptions_held",
        "redemptions",
        ["coupon_id", "redeemer"],
        unique=False,
        postgresql_where=sa.text("state in ('reserved', 'redeemed')"),
    )
