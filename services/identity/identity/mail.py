"""The mails of identity: a link to prove a mailbox, and a link to choose a new password."""

from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.ids import new_id
from contracts.notifications import MailLink, Notify
from identity.domain.email_token import EmailToken, Purpose
from identity.domain.user import User
from identity.settings import IdentitySettings

PAGES: dict[Purpose, str] = {
    "verification": "verify-email",
    "password_reset": "reset-password",
}


def order_link(
    tx: AsyncSession, settings: IdentitySettings, user: User, purpose: Purpose, now: datetime
) -> None:
    """Store a fresh token and have its link mailed; both happen when the transaction commits."""
    is_verification = purpose == "verification"
    token = EmailToken.issue(
        token_id=new_id(),
        user_id=user.id,
        purpose=purpose,
        email=user.email,
        lifetime=settings.verification_seconds
        if is_verification
        else settings.password_reset_seconds,
        now=now,
    )
    tx.add(token)
    outbox.add(
        tx,
        Notify(
            operation_id=new_id(),
            expires_at=token.expires_at,
            type=purpose,
            recipient=user.email,
            reference_type="token",
            reference_id=token.id,
            facts={"name": user.first_name},
        ),
    )


def link_of(settings: IdentitySettings, token: EmailToken, text: str) -> MailLink:
    """Write the link that a mail carries, with the token's secret."""
    page = f"{settings.public_url.rstrip('/')}/{PAGES[token.purpose]}"
    return MailLink(link=f"{page}?{urlencode({'token': text})}", token=text)
