"""Carts, their lines, copies of products and stock, and tax rates."""

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
        'carts',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('customer_id', sa.Uuid(), nullable=True),
        sa.Column('token_hash', sa.CHAR(length=64), nullable=True),
        sa.Column('email', sa.String(length=255), nullable=True),
        sa.Column('currency', sa.CHAR(length=3), nullable=False),
        sa.Column('status', sa.String(length=20), server_default='active', nullable=False),
        sa.Column('coupon_code', sa.String(length=50), nullable=True),
        sa.Column('shipping_address', postgresql.JSONB(), nullable=True),
        sa.Column('billing_address', postgresql.JSONB(), nullable=True),
        sa.Column('shipping_method_id', sa.Uuid(), nullable=True),
        sa.Column('subtotal_amount', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('discount_amount', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('shipping_amount', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('tax_amount', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('total_amount', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('order_id', sa.Uuid(), nullable=True),
        sa.Column('locked', postgresql.JSONB(), nullable=True),
        sa.Column('lock_checked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('merged_into', sa.Uuid(), nullable=True),
        sa.Column('last_activity_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.CheckConstraint("status in ('active', 'abandoned') or (order_id is not null and locked is not null)", name=op.f('ck_carts_lock')),
        sa.CheckConstraint("status in ('active', 'locked', 'converted', 'abandoned')", name=op.f('ck_carts_status')),
        sa.CheckConstraint('least(subtotal_amount, discount_amount, shipping_amount, tax_amount, total_amount) >= 0', name=op.f('ck_carts_amounts')),
        sa.CheckConstraint('num_nonnulls(customer_id, token_hash) = 1', name=op.f('ck_carts_holder')),
        sa.ForeignKeyConstraint(['merged_into'], ['carts.id'], name=op.f('fk_carts_merged_into')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_carts')),
    )
    op.create_index('ix_carts_locked', 'carts', ['lock_checked_at'], unique=False, postgresql_where=sa.text("status = 'locked'"))
    op.create_index(op.f('ix_carts_merged_into'), 'carts', ['merged_into'], unique=False)
    op.create_index('ix_carts_resting', 'carts', ['last_activity_at'], unique=False, postgresql_where=sa.text("status = 'active'"))
    op.create_index('uq_carts_active_customer_id', 'carts', ['customer_id'], unique=True, postgresql_where=sa.text("status = 'active'"))
    op.create_index('uq_carts_token_hash', 'carts', ['token_hash'], unique=True)
    op.create_table(
        'product_snapshots',
        sa.Column('product_id', sa.Uuid(), nullable=False),
        sa.Column('sequence', sa.BigInteger(), nullable=False),
        sa.Column('name', sa.String(length=200), nullable=False),
        sa.Column('status', sa.String(length=20), nullable=False),
        sa.Column('category_ids', postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column('seller_id', sa.Uuid(), nullable=True),
        sa.Column('currency', sa.CHAR(length=3), nullable=False),
        sa.Column('customization_fields', postgresql.JSONB(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.CheckConstraint("status in ('draft', 'active', 'inactive', 'deleted')", name=op.f('ck_product_snapshots_status')),
        sa.PrimaryKeyConstraint('product_id', name=op.f('pk_product_snapshots')),
    )
    op.create_table(
        'stock_snapshots',
        sa.Column('variant_id', sa.Uuid(), nullable=False),
        sa.Column('sequence', sa.BigInteger(), nullable=False),
        sa.Column('available', sa.BigInteger(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('variant_id', name=op.f('pk_stock_snapshots')),
    )
    op.create_table(
        'tax_rates',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('country', sa.CHAR(length=2), nullable=False),
        sa.Column('state', sa.String(length=100), server_default='', nullable=False),
        sa.Column('category_id', sa.Uuid(), nullable=True),
        sa.Column('rate_bps', sa.Integer(), nullable=False),
        sa.Column('prices_include_tax', sa.Boolean(), nullable=False),
        sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f('ck_tax_rates_country')),
        sa.CheckConstraint('rate_bps between 0 and 10000', name=op.f('ck_tax_rates_rate')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_tax_rates')),
    )
    op.create_index('uq_tax_rates_place_category', 'tax_rates', ['country', 'state', 'category_id'], unique=True, postgresql_nulls_not_distinct=True)
    op.create_table(
        'cart_items',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('cart_id', sa.Uuid(), nullable=False),
        sa.Column('variant_id', sa.Uuid(), nullable=False),
        sa.Column('product_id', sa.Uuid(), nullable=False),
        sa.Column('sku', sa.String(length=50), nullable=False),
        sa.Column('product_name', sa.String(length=200), nullable=False),
        sa.Column('variant_description', sa.Text(), nullable=False),
        sa.Column('unit_price_amount', sa.BigInteger(), nullable=False),
        sa.Column('quantity', sa.SmallInteger(), nullable=False),
        sa.Column('customization', postgresql.JSONB(), nullable=True),
        sa.Column('customization_key', sa.String(length=64), server_default='', nullable=False),
        sa.Column('added_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.CheckConstraint('quantity between 1 and 99', name=op.f('ck_cart_items_quantity')),
        sa.CheckConstraint('unit_price_amount >= 1', name=op.f('ck_cart_items_unit_price')),
        sa.ForeignKeyConstraint(['cart_id'], ['carts.id'], name=op.f('fk_cart_items_cart_id'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_cart_items')),
    )
    op.create_index('uq_cart_items_cart_variant_customization', 'cart_items', ['cart_id', 'variant_id', 'customization_key'], unique=True)
    op.create_table(
        'variant_snapshots',
        sa.Column('variant_id', sa.Uuid(), nullable=False),
        sa.Column('product_id', sa.Uuid(), nullable=False),
        sa.Column('sku', sa.String(length=50), nullable=False),
        sa.Column('description', sa.Text(), nullable=False),
        sa.Column('price_amount', sa.BigInteger(), nullable=False),
        sa.Column('discount_price_amount', sa.BigInteger(), nullable=True),
        sa.Column('discount_from', sa.DateTime(timezone=True), nullable=True),
        sa.Column('discount_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('is_available', sa.Boolean(), nullable=False),
        sa.Column('lead_time_days', sa.Integer(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.ForeignKeyConstraint(['product_id'], ['product_snapshots.product_id'], name=op.f('fk_variant_snapshots_product_id')),
        sa.PrimaryKeyConstraint('variant_id', name=op.f('pk_variant_snapshots')),
    )
    op.create_index(op.f('ix_variant_snapshots_product_id'), 'variant_snapshots', ['product_id'], unique=False)
    # Every order changes the stock of its variants: there is room to change a row in its own page.
    op.execute("alter table stock_snapshots set (fillfactor = 70)")
    op.execute("alter table carts set (fillfactor = 80)")
