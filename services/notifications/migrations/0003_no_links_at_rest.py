"""Links and tokens leave the facts of mails and the dead letters that stored them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NOTIFY = "cartwright.notifications.Notify.v1"
SECRETS = ("link", "token")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.execute(
        "update email_messages set payload = payload - 'link' - 'token' "
        "where payload ?| array['link', 'token']"
    )
    bind = op.get_bind()
    found = bind.execute(sa.text("select id, body from dead_letters where type = :type"), {"type": NOTIFY})
    for letter_id, body in found.all():
        cleaned = without_secrets(bytes(body))
        if cleaned is not None:
            values = {"id": letter_id, "body": cleaned}
            bind.execute(sa.text("update dead_letters set body = :body where id = :id"), values)


def without_secrets(body: bytes) -> bytes | None:
    """The message without its link and token; None when it is unreadable or has neither."""
    try:
        message = json.loads(body)
        facts = message["facts"]
        found = [facts.pop(name) for name in SECRETS if name in facts]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return json.dumps(message).encode() if found else None
