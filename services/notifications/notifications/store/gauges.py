"""What metrics read of the mails: how many wait or failed, and since when."""

from typing import Final

from sqlalchemy import text

from chassis.gauges import DatabaseGauge

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_mails",
        "Mails that are not sent, by status.",
        text(
            "select status, count(id) as value "
            "from (values ('pending'), ('processing'), ('failed')) s (status) "
            "left join email_messages using (status) group by status"
        ),
        ("status",),
    ),
    DatabaseGauge(
        "cartwright_mail_oldest_seconds",
        "Age of the oldest mail that still has to be sent.",
        text(
            "select coalesce(extract(epoch from now() - min(created_at)), 0) as value "
            "from email_messages where status in ('pending', 'processing')"
        ),
    ),
)
