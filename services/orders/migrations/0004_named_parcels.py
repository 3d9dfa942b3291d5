"""Sagas note whether all parcels of their order are known."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.execute(
        "update checkout_sagas s set progress = progress || '{\"parcels_named\": true}' "
        "from orders o where o.id = s.order_id and o.status in ('confirmed', 'shipped') "
        "and exists (select from order_shipments p where p.order_id = s.order_id)"
    )
