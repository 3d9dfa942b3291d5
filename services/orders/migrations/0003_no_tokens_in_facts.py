"""The tokens of guests and providers leave the facts of checkouts."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.execute(
        "update checkout_sagas "
        "set facts = jsonb_set(facts, '{link}', to_jsonb(split_part(facts->>'link', '?', 1))) "
        "where facts->>'link' like '%?%'"
    )
    # Until the money is taken CollectPayment may have to be sent once more.
    op.execute(
        "update checkout_sagas set facts = facts #- '{payment,token}' "
        "where facts->'payment'->>'token' is not null "
        "and stage not in ('reserving', 'redeeming', 'collecting', 'awaiting_customer')"
    )
