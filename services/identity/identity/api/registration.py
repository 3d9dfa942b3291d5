"""Routes for registration, e-mail verification and password reset.

No answer reveals whether an address is known: text and duration are the same.
"""

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import MaybeCaller
from chassis.db import Database
from chassis.errors import NotFound, Unauthenticated, Unavailable, refuses
from chassis.ids import utcnow
from chassis.wire import Body, Name, View
from identity import service
from identity.api.dependencies import (
    AppDatabase,
    AppPasswords,
    AppSettings,
    ClientDevice,
    Device,
    Email,
    Password,
    Phone,
    Token,
    minimum_duration,
)
from identity.domain.address import BadPhone
from identity.domain.credentials import (
    BadEmailToken,
    PasswordTooCommon,
    PasswordTooShort,
    Purpose,
    ensure_long_enough,
    words_known_of,
)
from identity.domain.session import TooManyAttempts
from identity.domain.user import User
from identity.settings import IdentitySettings
from identity.store import credentials, users

router = APIRouter(prefix="/v1/auth")


class RegisterBody(Body):
    """A new account. The password has at least 15 characters."""

    email: Email
    password: Password
    first_name: Name
    last_name: Name
    phone: Phone | None = None


class MailboxBody(Body):
    """The recipient of the mail."""

    email: Email


class VerifyBody(Body):
    """The token of the mail, and the account's password unless the request is signed in to it."""

    token: Token
    password: Password | None = None


class NewPasswordBody(Body):
    """The token of the mail, and the new password of at least 15 characters."""

    token: Token
    password: Password


class PasswordRequired(Unauthenticated):
    """Log in or send the password: the link does not prove that you opened the account."""

    code = "password_required"


class MailedView(View):
    """The same answer for a known and an unknown address."""

    detail: str = "If the address can receive it, a mail explains the next step."


async def _count_mail(tx: AsyncSession, settings: IdentitySettings, email: str) -> None:
    """Count a mail to this address; the lock also serialises requests for one address."""
    await credentials.count_attempt(
        tx,
        credentials.mail_key(email),
        limit=settings.mail_attempts,
        window=settings.mail_window_seconds,
        now=utcnow(),
    )


async def _count_passwords(database: Database, settings: IdentitySettings, device: Device) -> None:
    """Count a chosen password: to estimate and hash it takes processor time."""
    async with database.transaction() as tx:
        await credentials.count_attempt(
            tx,
            credentials.password_choice_key(device.ip_address),
            limit=settings.chosen_passwords_per_address,
            window=settings.login_window_seconds,
            now=utcnow(),
        )


@router.post("/register", status_code=202)
@refuses(BadPhone, PasswordTooCommon, PasswordTooShort, TooManyAttempts, Unavailable)
async def register(
    body: RegisterBody,
    database: AppDatabase,
    settings: AppSettings,
    passwords: AppPasswords,
    device: ClientDevice,
) -> MailedView:
    """Open an account for immediate login, and mail a link that verifies the address."""
    await _count_passwords(database, settings, device)
    await passwords.ensure_strong(
        body.password, words_known_of(body.email, body.first_name, body.last_name)
    )
    async with minimum_duration(settings.even_answer_seconds):
        password_hash = await passwords.hash(body.password)
        async with database.transaction() as tx:
            await _count_mail(tx, settings, body.email)
            user = await users.find_user_by_email(tx, body.email)
            if user is not None:
                # The mail informs the mailbox's owner of the attempt, and lets them take the
                # account over from a stranger who registered the address.
                service.send_link(tx, settings, user, "password_reset", utcnow())
            else:
                user, _ = await service.open_account(
                    tx,
                    email=body.email,
                    password_hash=password_hash,
                    first_name=body.first_name,
                    last_name=body.last_name,
                    phone=body.phone,
                )
                service.send_link(tx, settings, user, "verification", utcnow())
    return MailedView()


@router.post("/verification", status_code=202)
@refuses(TooManyAttempts, Unavailable)
async def send_verification(
    body: MailboxBody, database: AppDatabase, settings: AppSettings
) -> MailedView:
    """Send the verification mail again."""
    async with minimum_duration(settings.even_answer_seconds), database.transaction() as tx:
        await _count_mail(tx, settings, body.email)
        user = await users.find_user_by_email(tx, body.email)
        if user is not None and not user.is_verified and user.status == "active":
            service.send_link(tx, settings, user, "verification", utcnow())
    return MailedView()


@router.post("/password-reset", status_code=202)
@refuses(TooManyAttempts, Unavailable)
async def send_password_reset(
    body: MailboxBody, database: AppDatabase, settings: AppSettings
) -> MailedView:
    """Mail a link for choosing a new password."""
    async with minimum_duration(settings.even_answer_seconds), database.transaction() as tx:
        await _count_mail(tx, settings, body.email)
        user = await users.find_user_by_email(tx, body.email)
        if user is not None and user.status == "active":
            service.send_link(tx, settings, user, "password_reset", utcnow())
    return MailedView()


async def _use_token(tx: AsyncSession, text: str, purpose: Purpose) -> User:
    """Use the token of a mail; returns its user, locked."""
    token = await credentials.lock_email_token(tx, text, purpose)
    try:
        user = await users.lock_user(tx, token.user_id)
    except NotFound:
        raise BadEmailToken from None
    token.use(user.email, utcnow())
    return user


@router.post("/verify", status_code=204)
@refuses(PasswordRequired, NotFound, BadEmailToken, TooManyAttempts)
async def verify(
    body: VerifyBody,
    caller: MaybeCaller,
    database: AppDatabase,
    settings: AppSettings,
    passwords: AppPasswords,
    device: ClientDevice,
) -> None:
    """Verify the e-mail address by the mailed token, as the person who opened the account.

    The owner of the mailbox takes over an account that a stranger opened by a password reset.
    """
    async with database.transaction() as tx:
        known = await credentials.get_user_by_email_token(tx, body.token, "verification", utcnow())
    if caller is None or caller.id != known.id:
        if body.password is None:
            raise PasswordRequired
        await _count_passwords(database, settings, device)
        if not await passwords.verify(body.password, known.password_hash):
            raise PasswordRequired
    async with database.transaction() as tx:
        user = await _use_token(tx, body.token, "verification")
        if user.password_hash != known.password_hash:
            raise PasswordRequired
        await service.verify_email(tx, user, utcnow())


@router.post("/password-reset/confirm", status_code=204)
@refuses(NotFound, BadEmailToken, PasswordTooCommon, PasswordTooShort, TooManyAttempts, Unavailable)
async def reset_password(
    body: NewPasswordBody,
    database: AppDatabase,
    settings: AppSettings,
    passwords: AppPasswords,
    device: ClientDevice,
) -> None:
    """Set a new password by the mailed token, end every session, and verify the address.

    If the address was not verified before, all other data of the account except orders is deleted.
    """
    ensure_long_enough(body.password)
    await _count_passwords(database, settings, device)
    async with database.transaction() as tx:
        user = await credentials.get_user_by_email_token(tx, body.token, "password_reset", utcnow())
    await passwords.ensure_strong(
        body.password, words_known_of(user.email, user.first_name, user.last_name)
    )
    password_hash = await passwords.hash(body.password)
    async with database.transaction() as tx:
        user = await _use_token(tx, body.token, "password_reset")
        now = utcnow()
        user.password_hash = password_hash
        await service.reclaim_account(tx, user, now)
        await service.end_sessions(tx, user, now)
        await credentials.invalidate_email_tokens(tx, user.id, now)
        service.warn_password_changed(tx, user)
