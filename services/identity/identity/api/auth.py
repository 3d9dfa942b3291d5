"""Login, refresh and logout."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import problems
from chassis.auth import MaybeCaller
from chassis.db import Database, Tx
from chassis.errors import Forbidden, NotFound, Unauthenticated, Unavailable, refuses
from chassis.ids import utcnow
from chassis.wire import Body, View
from identity import service
from identity.api.dependencies import (
    AppDatabase,
    AppDelays,
    AppIssuer,
    AppPasswords,
    AppSettings,
    ClientDevice,
    Device,
    Email,
    Password,
    Token,
    UserView,
    log_security_event,
)
from identity.clients import Issuer, Passwords
from identity.domain.customer import CustomerBlocked
from identity.domain.session import (
    RefreshToken,
    RefreshTokenReused,
    Session,
    SessionEnded,
    TooManyAttempts,
)
from identity.domain.user import Access, AccountBanned, AccountInactive, User
from identity.settings import IdentitySettings
from identity.store import credentials, users

router = APIRouter(prefix="/v1/auth")


class BadCredentials(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "bad_credentials"


class LoginBody(Body):
    """The credentials. `remember` makes the session last thirty days instead of one."""

    email: Email
    password: Password
    remember: bool = False


class RefreshBody(Body):
    """The refresh token of the last answer."""

    refresh_token: Token


class LogoutBody(Body):
    """The session to end: the token's, or the caller's own; `everywhere` ends all of them."""

    refresh_token: Token | None = None
    everywhere: bool = False


class TokensView(View):
    """A short-lived access token, and the refresh token for the next one, valid once."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="lifetime of the access token, in seconds")]
    refresh_token: str

    @classmethod
    def of(cls, issuer: Issuer, access: Access, token: RefreshToken) -> "TokensView":
        return cls(
            access_token=issuer.access_token(access, utcnow()),
            expires_in=int(issuer.access_token_seconds),
            refresh_token=str(token),
        )


class LoginView(TokensView):
    """Both tokens and their user."""

    user: UserView


@router.post("/login")
@refuses(
    BadCredentials,
    AccountBanned,
    AccountInactive,
    CustomerBlocked,
    NotFound,
    TooManyAttempts,
    Unavailable,
)
async def log_in(
    *,
    body: LoginBody,
    database: AppDatabase,
    settings: AppSettings,
    passwords: AppPasswords,
    issuer: AppIssuer,
    device: ClientDevice,
    delays: AppDelays,
) -> LoginView:
    """Log in with e-mail address and password."""
    keys = credentials.LoginKeys.of(body.email, device.ip_address)
    try:
        found, delay = await _count_login(database, settings, keys, body.email, device)
        await delays.wait(delay)
    except TooManyAttempts:
        log_security_event("login locked out", device.ip_address)
        raise
    stored = found.password_hash if found is not None else None
    if not await passwords.verify(body.password, stored) or found is None:
        user_id = found.id if found is not None else None
        log_security_event("login failed", device.ip_address, user_id=user_id)
        raise BadCredentials
    async with database.transaction() as tx:
        user = await users.share_lock_user(tx, found.id)
        if user.password_hash != stored:
            raise BadCredentials
        await _ensure_may_log_in(tx, user, device)
        await credentials.uncount_login(tx, keys)
        access, token = await service.begin_session(
            tx,
            settings,
            user.id,
            remember=body.remember,
            ip_address=device.ip_address,
            user_agent=device.user_agent,
            now=utcnow(),
        )
    await _rehash(database, passwords, user, body.password)
    tokens = TokensView.of(issuer, access, token)
    view = UserView.of(user, access.customer_id, access.roles)
    return LoginView(user=view, **tokens.model_dump())


async def _ensure_may_log_in(tx: AsyncSession, user: User, device: Device) -> None:
    try:
        await service.ensure_active(tx, user)
    except Forbidden as refused:
        facts = {"user_id": user.id, "reason": refused.code}
        log_security_event("login failed", device.ip_address, **facts)
        raise


async def _count_login(
    database: Database,
    settings: IdentitySettings,
    keys: credentials.LoginKeys,
    email: str,
    device: Device,
) -> tuple[User | None, float]:
    """Count a login before its password is verified, so that concurrent guesses count as well.

    Returns the user and the delay in seconds, which is 0 for an address at which the user is
    logged in already.
    """
    now = utcnow()
    async with database.transaction() as tx:
        delay = await credentials.count_login(tx, keys, settings.login_limits, now)
        user = await users.find_user_by_email(tx, email)
        if delay and user is not None:
            is_known = await credentials.has_session_from(tx, user.id, device.ip_address, now)
            delay = 0.0 if is_known else delay
        return user, delay


async def _rehash(database: Database, passwords: Passwords, user: User, password: str) -> None:
    """Hash a password again if its hash was made with other costs than the configured ones."""
    if not passwords.is_outdated(user.password_hash):
        return
    password_hash = await passwords.hash(password)
    async with database.transaction() as tx:
        locked = await users.lock_user(tx, user.id)
        if locked.password_hash == user.password_hash:
            locked.password_hash = password_hash


@router.post("/refresh", response_model=TokensView)
@refuses(
    RefreshTokenReused, SessionEnded, AccountBanned, AccountInactive, CustomerBlocked, NotFound
)
async def refresh(
    body: RefreshBody,
    tx: Tx,
    settings: AppSettings,
    issuer: AppIssuer,
    device: ClientDevice,
) -> TokensView | Response:
    """Exchange a refresh token for a new access token and the next refresh token."""
    token = RefreshToken.parse(body.refresh_token)
    session = await credentials.lock_session(tx, token.session_id)
    if session is None:
        raise SessionEnded
    successor = session.refresh(token, grace=settings.refresh_grace_seconds, now=utcnow())
    if successor is None:
        user = await users.get_user(tx, session.user_id)
        service.warn_session_compromised(tx, user, session.id)
        log_security_event(
            "refresh token reused", device.ip_address, user_id=user.id, session_id=session.id
        )
        await service.revoke_tokens(tx, Session.revoke_tokens(session.id, session.user_id))
        # Returned, not raised: an exception would roll the end of the session back.
        return problems.answer(RefreshTokenReused())
    await service.ensure_active(tx, await users.get_user(tx, session.user_id))
    await tx.flush()
    access = await users.get_access(tx, session.user_id, session.id)
    return TokensView.of(issuer, access, successor)


@router.post("/logout", status_code=204)
@refuses(SessionEnded, Unauthenticated, NotFound)
async def log_out(caller: MaybeCaller, tx: Tx, body: LogoutBody | None = None) -> None:
    """End this session, or with `everywhere` every session of the user, and its access tokens."""
    now = utcnow()
    requested = body or LogoutBody()
    if requested.refresh_token is not None:
        token = RefreshToken.parse(requested.refresh_token)
        session = await credentials.find_session(tx, token.session_id)
        if session is None:
            raise SessionEnded
        session.ensure_belongs(token)
        user_id, session_id = session.user_id, session.id
    elif caller is not None and caller.session_id is not None:
        user_id, session_id = caller.id, caller.session_id
    else:
        raise Unauthenticated
    if requested.everywhere:
        await service.end_sessions(tx, await users.lock_user(tx, user_id), now)
    else:
        await service.end_session(tx, user_id, session_id, now)
