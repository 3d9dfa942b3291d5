"""The catalogue: categories, products, and what customers browse."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import create_message_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Words that are found are ranked; only when there are none may similar ones take their place.
# The threshold belongs to the function, so that no session has to be told of it.
SEARCH = """
create function search_listings(words_wanted text) returns table (product_id uuid, rank bigint)
language plpgsql stable set pg_trgm.word_similarity_threshold = 0.35 as $$
declare wanted tsquery := websearch_to_tsquery('english', words_wanted);
begin
  return query
    select l.product_id, (ts_rank_cd(l.search, wanted) * 1000000)::bigint
    from listings l where l.search @@ wanted;
  if not found then
    return query
      select l.product_id, (word_similarity(words_wanted, l.words) * 1000000)::bigint
      from listings l where words_wanted <% l.words;
  end if;
end $$
"""


def upgrade() -> None:
    """Make the tables."""
    create_message_tables()
    op.execute("create extension if not exists pg_trgm")
    # The extension's setting is known to this session only once the extension was used.
    op.execute("select word_similarity('', '')")
    op.create_table('categories',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('parent_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('slug', sa.String(length=160), nullable=False),
    sa.Column('description', sa.String(length=2000), nullable=False),
    sa.Column('depth', sa.BigInteger(), nullable=False),
    sa.Column('path', postgresql.ARRAY(sa.Uuid()), nullable=False),
    sa.Column('display_order', sa.BigInteger(), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.Column('sequence', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('(parent_id is null) = (depth = 1)', name=op.f('ck_categories_parent')),
    sa.CheckConstraint('cardinality(path) = depth and path[depth] = id', name=op.f('ck_categories_path')),
    sa.CheckConstraint('depth between 1 and 3', name=op.f('ck_categories_depth')),
    sa.ForeignKeyConstraint(['parent_id'], ['categories.id'], name=op.f('fk_categories_parent_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_categories')),
    sa.UniqueConstraint('slug', name=op.f('uq_categories_slug'))
    )
    op.create_index(op.f('ix_categories_parent_id'), 'categories', ['parent_id'], unique=False)
    op.create_index('ix_categories_path', 'categories', ['path'], unique=False, postgresql_using='gin')
    op.create_index('uq_categories_lower_name', 'categories', [sa.literal_column('lower(name)')], unique=True)
    op.create_table('variant_stock',
    sa.Column('variant_id', sa.Uuid(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), nullable=False),
    sa.Column('availability', sa.String(length=15), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("availability in ('in_stock', 'low_stock', 'out_of_stock')", name=op.f('ck_variant_stock_availability')),
    sa.PrimaryKeyConstraint('variant_id', name=op.f('pk_variant_stock'))
    )
    op.create_index(op.f('ix_variant_stock_product_id'), 'variant_stock', ['product_id'], unique=False)
    op.create_table('products',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('category_id', sa.Uuid(), nullable=True),
    sa.Column('seller_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('slug', sa.String(length=160), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('currency', sa.CHAR(length=3), nullable=False),
    sa.Column('base_price_amount', sa.BigInteger(), nullable=False),
    sa.Column('discount_price_amount', sa.BigInteger(), nullable=True),
    sa.Column('discount_from', sa.DateTime(timezone=True), nullable=True),
    sa.Column('discount_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('price_changes_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('status', sa.String(length=10), nullable=False),
    sa.Column('is_customizable', sa.Boolean(), nullable=False),
    sa.Column('customization_fields', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_by', sa.String(length=100), nullable=False),
    sa.Column('updated_by', sa.String(length=100), nullable=False),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted_by', sa.String(length=100), nullable=True),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.Column('sequence', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("is_customizable or customization_fields = '[]'::jsonb", name=op.f('ck_products_customization_fields')),
    sa.CheckConstraint("status in ('draft', 'active', 'inactive')", name=op.f('ck_products_status')),
    sa.CheckConstraint('(deleted_at is null) = (deleted_by is null)', name=op.f('ck_products_deleted')),
    sa.CheckConstraint('(discount_price_amount is null) = (discount_from is null) and (discount_until is null or discount_until > discount_from)', name=op.f('ck_products_discount_window')),
    sa.CheckConstraint('base_price_amount >= 1', name=op.f('ck_products_base_price_amount')),
    sa.CheckConstraint('category_id is not null or deleted_at is not null', name=op.f('ck_products_category_id')),
    sa.CheckConstraint('char_length(name) >= 2', name=op.f('ck_products_name')),
    sa.CheckConstraint('discount_price_amount >= 1 and discount_price_amount < base_price_amount', name=op.f('ck_products_discount_price_amount')),
    sa.ForeignKeyConstraint(['category_id'], ['categories.id'], name=op.f('fk_products_category_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_products')),
    sa.UniqueConstraint('slug', name=op.f('uq_products_slug'))
    )
    op.create_index(op.f('ix_products_category_id'), 'products', ['category_id'], unique=False)
    op.create_index('ix_products_price_changes_at', 'products', ['price_changes_at'], unique=False, postgresql_where=sa.text('price_changes_at is not null'))
    op.create_index(op.f('ix_products_seller_id'), 'products', ['seller_id'], unique=False)
    op.create_table('listings',
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String(length=160), nullable=False),
    sa.Column('category_path', postgresql.ARRAY(sa.Uuid()), nullable=False),
    sa.Column('seller_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('price_amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.CHAR(length=3), nullable=False),
    sa.Column('availability', sa.String(length=15), nullable=False),
    sa.Column('options', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('search', postgresql.TSVECTOR(), nullable=False),
    sa.Column('card', sa.Text(), nullable=False),
    sa.Column('page', sa.Text(), nullable=False),
    sa.Column('etag', sa.String(length=40), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("availability in ('in_stock', 'low_stock', 'out_of_stock')", name=op.f('ck_listings_availability')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_listings_product_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('product_id', name=op.f('pk_listings')),
    sa.UniqueConstraint('slug', name=op.f('uq_listings_slug'))
    )
    op.create_index('ix_listings_category_path', 'listings', ['category_path'], unique=False, postgresql_using='gin')
    op.create_index('ix_listings_name_product_id', 'listings', ['name', 'product_id'], unique=False)
    op.create_index('ix_listings_options', 'listings', ['options'], unique=False, postgresql_using='gin')
    op.create_index('ix_listings_price_amount_product_id', 'listings', ['price_amount', 'product_id'], unique=False)
    op.create_index('ix_listings_search', 'listings', ['search'], unique=False, postgresql_using='gin')
    op.create_index(op.f('ix_listings_seller_id'), 'listings', ['seller_id'], unique=False)
    op.create_index('ix_listings_words', 'listings', ['words'], unique=False, postgresql_using='gin', postgresql_ops={'words': 'gin_trgm_ops'})
    op.create_table('product_images',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('url', sa.String(length=500), nullable=False),
    sa.Column('alt_text', sa.String(length=200), nullable=False),
    sa.Column('mime', sa.String(length=100), nullable=True),
    sa.Column('bytes', sa.BigInteger(), nullable=True),
    sa.Column('width', sa.BigInteger(), nullable=True),
    sa.Column('height', sa.BigInteger(), nullable=True),
    sa.Column('is_primary', sa.Boolean(), nullable=False),
    sa.Column('display_order', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    postgresql.ExcludeConstraint((sa.column('product_id'), '='), where=sa.text('is_primary'), deferrable='True', initially='DEFERRED', using='btree', name='ex_product_images_primary'),
    sa.CheckConstraint('bytes >= 0', name=op.f('ck_product_images_bytes')),
    sa.CheckConstraint('width > 0 and height > 0', name=op.f('ck_product_images_pixels')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_product_images_product_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_product_images'))
    )
    op.create_index(op.f('ix_product_images_product_id'), 'product_images', ['product_id'], unique=False)
    op.create_table('variants',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('sku', sa.String(length=50), nullable=False),
    sa.Column('options', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('options_key', sa.CHAR(length=32), nullable=False),
    sa.Column('price_adjustment_amount', sa.BigInteger(), nullable=False),
    sa.Column('lead_time_days', sa.BigInteger(), nullable=False),
    sa.Column('is_available', sa.Boolean(), nullable=False),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted_by', sa.String(length=100), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("jsonb_typeof(options) = 'array'", name=op.f('ck_variants_options')),
    sa.CheckConstraint('lead_time_days between 0 and 365', name=op.f('ck_variants_lead_time_days')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_variants_product_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_variants')),
    sa.UniqueConstraint('sku', name=op.f('uq_variants_sku'))
    )
    op.create_index(op.f('ix_variants_product_id'), 'variants', ['product_id'], unique=False)
    op.create_index('uq_variants_product_id_options_key', 'variants', ['product_id', 'options_key'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('price_history',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('variant_id', sa.Uuid(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.CHAR(length=3), nullable=False),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('amount >= 1', name=op.f('ck_price_history_amount')),
    sa.CheckConstraint('valid_until >= valid_from', name=op.f('ck_price_history_valid')),
    sa.ForeignKeyConstraint(['variant_id'], ['variants.id'], name=op.f('fk_price_history_variant_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_price_history'))
    )
    op.create_index('ix_price_history_variant_id_valid_from', 'price_history', ['variant_id', 'valid_from'], unique=False)
    op.create_index('uq_price_history_current', 'price_history', ['variant_id'], unique=True, postgresql_where=sa.text('valid_until is null'))
    op.execute(SEARCH)
