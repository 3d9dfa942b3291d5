"""Each event stands in the feed once, however often it was sent: at its first place."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the events' ids, and delete the repeats."""
    op.add_column("events", sa.Column("event_id", sa.Uuid(), nullable=True))
    op.execute("update events set event_id = cast(convert_from(document, 'utf8')::json ->> 'id' as uuid)")
    op.execute(
        "delete from events where position in (select position from (select position, "
        "row_number() over (partition by event_id order by position) as place from events) as each "
        "where place > 1)"
    )
    op.alter_column("events", "event_id", nullable=False)
    op.create_unique_constraint(op.f("uq_events_event_id"), "events", ["event_id"])
