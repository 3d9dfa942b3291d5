"""Warehouses, stock levels and items, reservations with their allocations, and movements."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import create_message_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = """
create function stock_movements_stay() returns trigger language plpgsql as $$
begin raise exception 'stock movements are never changed or deleted'; end $$
"""


def upgrade() -> None:
    """Make the tables."""
    create_message_tables()
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("rejection", sa.String(), nullable=True),
        sa.Column(
            "shortages", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
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
            "(state = 'rejected') = (rejection is not null)",
            name=op.f("ck_reservations_rejected_for"),
        ),
        sa.CheckConstraint(
            "rejection in ('insufficient', 'expired')", name=op.f("ck_reservations_rejection")
        ),
        sa.CheckConstraint(
            "state in ('held', 'committed', 'released', 'fulfilled', 'rejected')",
            name=op.f("ck_reservations_state"),
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_reservations")),
    )
    op.create_index(
        "ix_reservations_created_at", "reservations", ["created_at", "order_id"], unique=False
    )
    op.create_index(
        "ix_reservations_state", "reservations", ["state", "created_at", "order_id"], unique=False
    )
    op.create_table(
        "stock_levels",
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("sku", sa.String(length=50), nullable=False),
        sa.Column("seller_id", sa.Uuid(), nullable=True),
        sa.Column("product_sequence", sa.BigInteger(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("low_stock_threshold", sa.BigInteger(), server_default="10", nullable=False),
        sa.Column("availability", sa.String(), server_default="out_of_stock", nullable=False),
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
            "availability in ('in_stock', 'low_stock', 'out_of_stock')",
            name=op.f("ck_stock_levels_availability"),
        ),
        sa.CheckConstraint(
            "0 <= reserved and reserved <= on_hand",
            name=op.f("ck_stock_levels_reserved_within_on_hand"),
        ),
        sa.PrimaryKeyConstraint("variant_id", name=op.f("pk_stock_levels")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_stock_levels_availability",
        "stock_levels",
        ["availability", "sku", "variant_id"],
        unique=False,
    )
    op.create_index("ix_stock_levels_product_id", "stock_levels", ["product_id"], unique=False)
    op.create_index("ix_stock_levels_sku", "stock_levels", ["sku", "variant_id"], unique=False)
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("warehouse_id", sa.Uuid(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("previous", sa.BigInteger(), nullable=False),
        sa.Column("new", sa.BigInteger(), nullable=False),
        sa.Column("adjustment", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("reference_type", sa.String(), nullable=False),
        sa.Column("reference_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "bucket in ('on_hand', 'reserved')", name=op.f("ck_stock_movements_bucket")
        ),
        sa.CheckConstraint(
            "operation in ('set', 'adjust', 'reserve', 'release', 'deduct', 'restock')",
            name=op.f("ck_stock_movements_operation"),
        ),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_stock_movements_reason")),
        sa.CheckConstraint(
            "reference_type in ('order', 'restock', 'return', 'transfer', 'manual')",
            name=op.f("ck_stock_movements_reference_type"),
        ),
        sa.CheckConstraint(
            "adjustment = new - previous and adjustment <> 0",
            name=op.f("ck_stock_movements_adjustment"),
        ),
        sa.CheckConstraint("previous >= 0 and new >= 0", name=op.f("ck_stock_movements_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
    )
    op.create_index(
        "ix_stock_movements_reference_id", "stock_movements", ["reference_id", "id"], unique=False
    )
    op.create_index(
        "ix_stock_movements_user_id",
        "stock_movements",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("user_id is not null"),
    )
    op.create_index(
        "ix_stock_movements_variant_id",
        "stock_movements",
        ["variant_id", "warehouse_id", "id"],
        unique=False,
    )
    op.create_table(
        "stock_operations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_operations")),
    )
    op.create_index("ix_stock_operations_order_id", "stock_operations", ["order_id"], unique=False)
    op.create_table(
        "warehouses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column(
            "address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("seller_id", sa.Uuid(), nullable=True),
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
        sa.CheckConstraint("priority between 0 and 10000", name=op.f("ck_warehouses_priority")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_warehouses")),
        sa.UniqueConstraint("code", name=op.f("uq_warehouses_code")),
    )
    op.create_index("ix_warehouses_seller_id", "warehouses", ["seller_id"], unique=False)
    op.create_table(
        "allocations",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("warehouse_id", sa.Uuid(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("seller_id", sa.Uuid(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("deducted", sa.BigInteger(), server_default="0", nullable=False),
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
            "0 <= deducted and deducted <= quantity", name=op.f("ck_allocations_deducted")
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_allocations_quantity")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["reservations.order_id"], name=op.f("fk_allocations_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", "line_id", "warehouse_id", name=op.f("pk_allocations")),
    )
    op.create_table(
        "stock_items",
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("warehouse_id", sa.Uuid(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("low_stock_threshold", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
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
            "0 <= reserved and reserved <= on_hand",
            name=op.f("ck_stock_items_reserved_within_on_hand"),
        ),
        sa.CheckConstraint(
            "low_stock_threshold >= 0", name=op.f("ck_stock_items_low_stock_threshold")
        ),
        sa.ForeignKeyConstraint(
            ["variant_id"], ["stock_levels.variant_id"], name=op.f("fk_stock_items_variant_id")
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id"], ["warehouses.id"], name=op.f("fk_stock_items_warehouse_id")
        ),
        sa.PrimaryKeyConstraint("variant_id", "warehouse_id", name=op.f("pk_stock_items")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_stock_items_warehouse_id", "stock_items", ["warehouse_id", "variant_id"], unique=False
    )
    op.execute(APPEND_ONLY)
    op.execute(
        "create trigger stock_movements_stay before update or delete on stock_movements "
        "for each row execute function stock_movements_stay()"
    )
