"""Payments."""

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
    op.create_table('order_payments',
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=True),
    sa.Column('cancelled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.Column('sequence', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('order_id', name=op.f('pk_order_payments'))
    )
    op.create_table('payment_methods',
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('countries', postgresql.ARRAY(sa.String(length=2)), server_default='{}', nullable=False),
    sa.Column('display_order', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("code in ('card', 'paypal', 'wallet', 'cod', 'bank_transfer')", name=op.f('ck_payment_methods_code')),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_payment_methods'))
    )
    op.create_table('payments',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('operation_id', sa.Uuid(), nullable=False),
    sa.Column('order_number', sa.String(length=20), nullable=False),
    sa.Column('customer_id', sa.Uuid(), nullable=True),
    sa.Column('access_hash', sa.Text(), nullable=True),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('method', sa.Text(), nullable=False),
    sa.Column('capture', sa.Text(), nullable=False),
    sa.Column('provider', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('provider_reference', sa.Text(), nullable=True),
    sa.Column('captured_amount', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('refunded_amount', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('refunding_amount', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('failure_reason', sa.Text(), nullable=True),
    sa.Column('review_reason', sa.Text(), nullable=True),
    sa.Column('action_type', sa.Text(), nullable=True),
    sa.Column('action_url', sa.Text(), nullable=True),
    sa.Column('brand', sa.Text(), nullable=True),
    sa.Column('last_four', sa.String(length=4), nullable=True),
    sa.Column('paypal_email', sa.String(length=255), nullable=True),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('check_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('updated_by', sa.Text(), nullable=False),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("amount > 0 or status = 'failed'", name=op.f('ck_payments_amount')),
    sa.CheckConstraint("capture in ('now', 'on_shipment', 'on_delivery')", name=op.f('ck_payments_capture')),
    sa.CheckConstraint("method in ('card', 'paypal', 'wallet', 'cod', 'bank_transfer')", name=op.f('ck_payments_method')),
    sa.CheckConstraint("status in ('initiated', 'action_required', 'authorized', 'captured', 'failed', 'voided', 'partially_refunded', 'refunded')", name=op.f('ck_payments_status')),
    sa.CheckConstraint('refunded_amount >= 0 and refunding_amount >= 0 and refunded_amount + refunding_amount <= captured_amount', name=op.f('ck_payments_refunded_within_captured')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payments'))
    )
    op.create_index('ix_payments_check_at', 'payments', ['check_at'], unique=False, postgresql_where=sa.text('check_at is not null'))
    op.create_index('ix_payments_customer_id_id', 'payments', ['customer_id', 'id'], unique=False)
    op.create_index('ix_payments_order_id', 'payments', ['order_id'], unique=False)
    op.create_index('ix_payments_review', 'payments', ['id'], unique=False, postgresql_where=sa.text('review_reason is not null'))
    op.create_index('ix_payments_status_id', 'payments', ['status', 'id'], unique=False)
    op.create_index('uq_payments_live_order_id', 'payments', ['order_id'], unique=True, postgresql_where=sa.text("status not in ('failed', 'voided')"))
    op.create_index('uq_payments_operation_id', 'payments', ['operation_id'], unique=True)
    op.create_index('uq_payments_provider_reference', 'payments', ['provider', 'provider_reference'], unique=True, postgresql_where=sa.text('provider_reference is not null'))
    op.create_table('saved_payment_methods',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('customer_id', sa.Uuid(), nullable=False),
    sa.Column('provider', sa.Text(), nullable=False),
    sa.Column('provider_token', sa.String(length=100), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('brand', sa.Text(), nullable=True),
    sa.Column('last_four', sa.String(length=4), nullable=True),
    sa.Column('paypal_email', sa.String(length=255), nullable=True),
    sa.Column('expires_at', sa.String(length=7), nullable=True),
    sa.Column('is_default', sa.Boolean(), nullable=False),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("type in ('card', 'paypal', 'wallet')", name=op.f('ck_saved_payment_methods_type')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_saved_payment_methods'))
    )
    op.create_index('ix_saved_payment_methods_customer_id_id', 'saved_payment_methods', ['customer_id', 'id'], unique=False)
    op.create_index('ix_saved_payment_methods_deleted_at', 'saved_payment_methods', ['deleted_at'], unique=False, postgresql_where=sa.text('deleted_at is not null'))
    op.create_index('uq_saved_payment_methods_default', 'saved_payment_methods', ['customer_id'], unique=True, postgresql_where=sa.text('is_default and deleted_at is null'))
    op.create_index('uq_saved_payment_methods_token', 'saved_payment_methods', ['provider', 'provider_token'], unique=True)
    op.create_table('ledger_entries',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('transaction_id', sa.Uuid(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('account', sa.Text(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("account in ('customer', 'merchant')", name=op.f('ck_ledger_entries_account')),
    sa.CheckConstraint("kind in ('capture', 'refund')", name=op.f('ck_ledger_entries_kind')),
    sa.CheckConstraint('amount <> 0', name=op.f('ck_ledger_entries_amount')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_ledger_entries_payment_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_entries'))
    )
    op.create_index('ix_ledger_entries_order_id', 'ledger_entries', ['order_id'], unique=False)
    op.create_index('ix_ledger_entries_payment_id', 'ledger_entries', ['payment_id'], unique=False)
    op.create_table('payment_attempts',
    sa.Column('idempotency_key', sa.Text(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('request', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind in ('collect', 'capture', 'cancel', 'refund')", name=op.f('ck_payment_attempts_kind')),
    sa.CheckConstraint("state in ('started', 'finished')", name=op.f('ck_payment_attempts_state')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_payment_attempts_payment_id')),
    sa.PrimaryKeyConstraint('idempotency_key', name=op.f('pk_payment_attempts'))
    )
    op.create_index('ix_payment_attempts_payment_id', 'payment_attempts', ['payment_id'], unique=False)
    op.create_table('provider_events',
    sa.Column('provider', sa.Text(), nullable=False),
    sa.Column('event_id', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=True),
    sa.Column('charge', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('effect', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("effect in ('applied', 'known', 'doubtful', 'unknown_payment')", name=op.f('ck_provider_events_effect')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_provider_events_payment_id')),
    sa.PrimaryKeyConstraint('provider', 'event_id', name=op.f('pk_provider_events'))
    )
    op.create_index('ix_provider_events_payment_id', 'provider_events', ['payment_id'], unique=False)
    op.create_table('refunds',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=False),
    sa.Column('operation_id', sa.Uuid(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('tries', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('provider_reference', sa.Text(), nullable=True),
    sa.Column('failure_reason', sa.Text(), nullable=True),
    sa.Column('requested_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('reserved', 'succeeded', 'failed')", name=op.f('ck_refunds_state')),
    sa.CheckConstraint('amount > 0', name=op.f('ck_refunds_amount')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_refunds_payment_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_refunds'))
    )
    op.create_index('ix_refunds_payment_id', 'refunds', ['payment_id'], unique=False)
    op.create_index('ix_refunds_reserved', 'refunds', ['updated_at'], unique=False, postgresql_where=sa.text("state = 'reserved'"))
    op.create_index('uq_refunds_operation_id', 'refunds', ['operation_id'], unique=True)
    offer_payment_methods()
    guard_ledger()


def offer_payment_methods() -> None:
    """Offer every kind of payment everywhere."""
    op.execute(
        "insert into payment_methods (code, name, display_order) values "
        "('card', 'Card', 1), ('paypal', 'PayPal', 2), ('wallet', 'Wallet', 3), "
        "('bank_transfer', 'Bank transfer', 4), ('cod', 'Cash on delivery', 5)"
    )


def guard_ledger() -> None:
    """Let the ledger only grow, and only by transactions that sum to zero."""
    op.execute(
        "create function ledger_balances() returns trigger language plpgsql as $$ "
        "begin "
        "if exists (select from added group by transaction_id, currency having sum(amount) <> 0) then "
        "raise exception 'a ledger transaction does not sum to zero'; "
        "end if; return null; end $$"
    )
    op.execute(
        "create trigger ledger_balances after insert on ledger_entries "
        "referencing new table as added for each statement execute function ledger_balances()"
    )
    op.execute(
        "create function ledger_is_append_only() returns trigger language plpgsql as $$ "
        "begin raise exception 'the ledger is append-only'; end $$"
    )
    op.execute(
        "create trigger ledger_is_append_only before update or delete or truncate "
        "on ledger_entries for each statement execute function ledger_is_append_only()"
    )
