"""Coming in and going out: login, refresh and logout."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import problems
from chassis.auth import MaybeCaller
from chassis.db import Database, Tx
from chassis.errors import Forbidden, Unauthenticated
from chassis.ids import utcnow
from chassis.wire import Body, View
from identity import accounts, mail, security
from identity.api.at_hand import (
    DatabaseAtHand,
    DelaysAtHand,
    Device,
    DeviceAtHand,
    IssuerAtHand,
    PasswordsAtHand,
    SettingsAtHand,
)
from identity.api.fields import Email, Password, Token
from identity.api.views import UserView
from identity.domain.access import Access
from identity.domain.attempts import TooManyAttempts
from identity.domain.session import RefreshToken, RefreshTokenReused, Session, SessionEnded
from identity.domain.user import User
from identity.passwords import Passwords
from identity.settings import IdentitySettings
from identity.signing import Issuer
from identity.store import attempts, sessions, users

router = APIRouter(prefix="/v1/auth")


class BadCredentials(Unauthenticated):
    """The e-mail address or the password is not right."""

    code = "bad_credentials"


class LoginBody(Body):
    """Who wants to come in. `remember` keeps the session for thirty days instead of one."""

    email: Email
    password: Password
    remember: bool = False


class RefreshBody(Body):
    """The refresh token of the last answer."""

    refresh_token: Token


class LogoutBody(Body):
    """Which session ends: the token's, or the caller's own; `everywhere` ends all of them."""

    refresh_token: Token | None = None
    everywhere: bool = False


class TokensView(View):
    """A short-lived access token, and the refresh token that gets the next one, once."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="seconds the access token lives")]
    refresh_token: str

    @classmethod
    def of(cls, issuer: Issuer, access: Access, token: RefreshToken) -> "TokensView":
        """Sign the access token and show both."""
        return cls(
            access_token=issuer.access_token(access, utcnow()),
            expires_in=int(issuer.access_token_seconds),
            refresh_token=str(token),
        )


class LoginView(TokensView):
    """Both tokens and the user they are for."""

    user: UserView


@router.post("/login")
async def log_in(
    *,
    body: LoginBody,
    database: DatabaseAtHand,
    settings: SettingsAtHand,
    passwords: PasswordsAtHand,
    issuer: IssuerAtHand,
    device: DeviceAtHand,
    delays: DelaysAtHand,
) -> LoginView:
    """Log in with e-mail address and password."""
    keys = attempts.LoginKeys.of(body.email, device.ip_address)
    try:
        found, delay = await _count_and_find(database, settings, keys, body.email, device)
        await delays.wait(delay)
    except TooManyAttempts:
        security.record("login locked out", device.ip_address)
        raise
    stored = found.password_hash if found is not None else None
    if not await passwords.check(body.password, stored) or found is None:
        user_id = found.id if found is not None else None
        security.record("login failed", device.ip_address, user_id=user_id)
        raise BadCredentials
    async with database.transaction() as tx:
        user = await users.hold_user(tx, found.id)
        if user.password_hash != stored:
            raise BadCredentials
        await _check_may_log_in(tx, user, device)
        await attempts.forgive_login(tx, keys)
        access, token = await accounts.begin_session(
            tx,
            settings,
            user.id,
            remember=body.remember,
            ip_address=device.ip_address,
            user_agent=device.user_agent,
            now=utcnow(),
        )
    await _renew_hash(database, passwords, user, body.password)
    tokens = TokensView.of(issuer, access, token)
    view = UserView.of(user, access.customer_id, access.roles)
    return LoginView(user=view, **tokens.model_dump())


async def _check_may_log_in(tx: AsyncSession, user: User, device: Device) -> None:
    try:
        await accounts.check_may_come_in(tx, user)
    except Forbidden as refused:
        facts = {"user_id": user.id, "reason": refused.code}
        security.record("login failed", device.ip_address, **facts)
        raise


async def _count_and_find(
    database: Database,
    settings: IdentitySettings,
    keys: attempts.LoginKeys,
    email: str,
    device: Device,
) -> tuple[User | None, float]:
    """Count before the password is checked, so that guesses sent at once count as well.

    Returns the user and the delay in seconds. Who is logged in at the same address is not delayed.
    """
    now = utcnow()
    async with database.transaction() as tx:
        delay = await attempts.count_login(tx, keys, settings.login_limits, now)
        user = await users.find_user_by_email(tx, email)
        if delay and user is not None:
            is_known = await sessions.has_session_from(tx, user.id, device.ip_address, now)
            delay = 0.0 if is_known else delay
        return user, delay


async def _renew_hash(database: Database, passwords: Passwords, user: User, password: str) -> None:
    """Hash a password anew when its hash was made with other costs than today's."""
    if not passwords.is_outdated(user.password_hash):
        return
    renewed = await passwords.hash(password)
    async with database.transaction() as tx:
        locked = await users.lock_user(tx, user.id)
        if locked.password_hash == user.password_hash:
            locked.password_hash = renewed


@router.post("/refresh", response_model=TokensView)
async def refresh(
    body: RefreshBody,
    tx: Tx,
    settings: SettingsAtHand,
    issuer: IssuerAtHand,
    device: DeviceAtHand,
) -> TokensView | Response:
    """Get the next access token; the refresh token is used up, its successor in the answer."""
    token = RefreshToken.parse(body.refresh_token)
    session = await sessions.lock_session(tx, token.session_id)
    if session is None:
        raise SessionEnded
    following = session.use(token, grace=settings.refresh_grace_seconds, now=utcnow())
    if following is None:
        user = await users.get_user(tx, session.user_id)
        mail.warn_of_session(tx, user, session.id)
        security.record(
            "refresh token reused", device.ip_address, user_id=user.id, session_id=session.id
        )
        await accounts.revoke(tx, Session.revoke_tokens(session.id, session.user_id))
        # Answered, not raised: an exception would roll the end of the session back.
        return problems.answer(RefreshTokenReused())
    await accounts.check_may_come_in(tx, await users.get_user(tx, session.user_id))
    await tx.flush()
    access = await users.get_access(tx, session.user_id, session.id)
    return TokensView.of(issuer, access, following)


@router.post("/logout", status_code=204)
async def log_out(caller: MaybeCaller, tx: Tx, body: LogoutBody | None = None) -> None:
    """End this session, or with `everywhere` every session of the user, and its access tokens."""
    now = utcnow()
    wanted = body or LogoutBody()
    if wanted.refresh_token is not None:
        token = RefreshToken.parse(wanted.refresh_token)
        session = await sessions.find_session(tx, token.session_id)
        if session is None:
            raise SessionEnded
        session.check_belongs(token)
        user_id, session_id = session.user_id, session.id
    elif caller is not None and caller.session_id is not None:
        user_id, session_id = caller.id, caller.session_id
    else:
        raise Unauthenticated
    if wanted.everywhere:
        await accounts.end_sessions(tx, await users.lock_user(tx, user_id), now)
    else:
        await accounts.end_session(tx, user_id, session_id, now)
