"""The mails of identity: links to prove a mailbox and to choose a password, and warnings."""

from datetime import datetime
from typing import Literal
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.ids import new_id
from contracts.notifications import MailLink, Notify, SecurityWarning, WarnAccountOwner
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


def warn_of_password(tx: AsyncSession, user: User) -> None:
    """Tell the owner of an account that its password was changed."""
    _warn(tx, user, "password_changed", "password_change", new_id())


def warn_of_session(tx: AsyncSession, user: User, session_id: UUID) -> None:
    """Tell the owner of an account that an old refresh token came back and ended its session."""
    _warn(tx, user, "session_compromised", "session", session_id)


def _warn(
    tx: AsyncSession,
    user: User,
    kind: SecurityWarning,
    reference_type: Literal["password_change", "session"],
    reference_id: UUID,
) -> None:
    outbox.add(
        tx,
        WarnAccountOwner(
            operation_id=new_id(),
            type=kind,
            user_id=user.id,
            recipient=user.email,
            reference_type=reference_type,
            reference_id=reference_id,
            facts={"name": user.first_name},
        ),
    )


def link_of(settings: IdentitySettings, token: EmailToken, text: str) -> MailLink:
    """Write the link that a mail carries, with the token's secret."""
    page = f"{settings.public_url.rstrip('/')}/{PAGES[token.purpose]}"
    return MailLink(link=f"{page}?{urlencode({'token': text})}", token=text)
