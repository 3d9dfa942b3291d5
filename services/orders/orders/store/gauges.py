"""What metrics read of the checkout sagas: how many wait where, and for how long."""

from typing import Final

from sqlalchemy import text

from chassis.gauges import DatabaseGauge
from orders.domain.order import Stage
from orders.saga.table import FINAL

_OPEN: Final = ", ".join(f"('{stage}')" for stage in Stage if stage not in FINAL)
_WAITING: Final = (
    f"from (values {_OPEN}) s (stage) left join checkout_sagas using (stage) group by stage"
)

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_sagas_open",
        "Checkouts that have not ended, by the stage they stand in.",
        text(f"select stage, count(order_id) as value {_WAITING}"),
        ("stage",),
    ),
    DatabaseGauge(
        "cartwright_saga_oldest_seconds",
        "Age of the oldest checkout in a stage, since it was placed.",
        text(
            "select stage, coalesce(extract(epoch from now() - min(created_at)), 0) as value "  # noqa: S608
            f"{_WAITING}"
        ),
        ("stage",),
    ),
    DatabaseGauge(
        "cartwright_sagas_overdue",
        "Checkouts whose deadline passed a minute ago or more, so that nothing moves them.",
        text(
            "select count(*) as value from checkout_sagas "
            "where deadline_at < now() - interval '1 minute'"
        ),
    ),
)
