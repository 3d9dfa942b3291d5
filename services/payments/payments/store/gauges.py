"""What metrics read of the payments: how many are not settled, and since when."""

from typing import Final

from sqlalchemy import text

from chassis.gauges import DatabaseGauge

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_payments",
        "Payments that are not settled, by status.",
        text(
            "select status, count(id) as value "
            "from (values ('initiated'), ('action_required'), ('authorized')) s (status) "
            "left join payments using (status) group by status"
        ),
        ("status",),
        every=15,
    ),
    DatabaseGauge(
        "cartwright_payments_in_review",
        "Payments that only a person can decide about.",
        text("select count(*) as value from payments where review_reason is not null"),
        every=15,
    ),
    DatabaseGauge(
        "cartwright_payment_oldest_seconds",
        "Age of the oldest payment that is not settled, by status.",
        text(
            "select status, coalesce(extract(epoch from now() - min(created_at)), 0) as value "
            "from (values ('initiated'), ('action_required'), ('authorized')) s (status) "
            "left join payments using (status) group by status"
        ),
        ("status",),
        every=15,
    ),
)
