"""Opening an account, proving its mailbox, and choosing a new password.

None of these answers tells whether an address is known: text and time are the same.
"""

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import MaybeCaller
from chassis.db import Database
from chassis.errors import NotFound, Unauthenticated
from chassis.ids import utcnow
from chassis.wire import Body, Name, View
from identity import accounts, mail
from identity.api.at_hand import (
    DatabaseAtHand,
    Device,
    DeviceAtHand,
    PasswordsAtHand,
    SettingsAtHand,
    evenly,
)
from identity.api.fields import Email, Password, Phone, Token
from identity.domain.email_token import BadEmailToken, Purpose
from identity.domain.password import check_length, words_of
from identity.domain.user import User
from identity.settings import IdentitySettings
from identity.store import attempts, email_tokens, users

router = APIRouter(prefix="/v1/auth")


class RegisterBody(Body):
    """A new account. The password has at least 15 characters."""

    email: Email
    password: Password
    first_name: Name
    last_name: Name
    phone: Phone | None = None


class MailboxBody(Body):
    """Whom to write to."""

    email: Email


class VerifyBody(Body):
    """The token of the mail; the account's password unless the request is signed in to it."""

    token: Token
    password: Password | None = None


class NewPasswordBody(Body):
    """The token of the mail, and the new password of at least 15 characters."""

    token: Token
    password: Password


class PasswordRequired(Unauthenticated):
    """Log in or send the account's password: the link alone does not prove who opened it."""

    code = "password_required"


class MailedView(View):
    """What comes next is in the mail, whoever's mailbox that is."""

    detail: str = "If all is well, a mail tells how to go on."


async def _count_mail(tx: AsyncSession, settings: IdentitySettings, email: str) -> None:
    """Count a mail to this address; the row also keeps two requests for one address apart."""
    await attempts.count_attempt(
        tx,
        attempts.mail_key(email),
        most=settings.mail_attempts,
        window=settings.mail_window_seconds,
        now=utcnow(),
    )


async def _count_passwords(database: Database, settings: IdentitySettings, device: Device) -> None:
    """Count a password that somebody chooses: to judge and hash it takes processor time."""
    async with database.transaction() as tx:
        await attempts.count_attempt(
            tx,
            attempts.chosen_key(device.ip_address),
            most=settings.chosen_passwords_per_address,
            window=settings.login_window_seconds,
            now=utcnow(),
        )


@router.post("/register", status_code=202)
async def register(
    body: RegisterBody,
    database: DatabaseAtHand,
    settings: SettingsAtHand,
    passwords: PasswordsAtHand,
    device: DeviceAtHand,
) -> MailedView:
    """Open an account; one can log in with it at once, and a mail asks to prove the address."""
    await _count_passwords(database, settings, device)
    await passwords.judge(body.password, words_of(body.email, body.first_name, body.last_name))
    async with evenly(settings.even_answer_seconds):
        password_hash = await passwords.hash(body.password)
        async with database.transaction() as tx:
            await _count_mail(tx, settings, body.email)
            user = await users.find_user_by_email(tx, body.email)
            if user is not None:
                # Whoever reads this mailbox learns of the attempt, and can take the account over
                # from somebody who registered a foreign address.
                mail.order_link(tx, settings, user, "password_reset", utcnow())
            else:
                user, _ = await accounts.open_account(
                    tx,
                    email=body.email,
                    password_hash=password_hash,
                    first_name=body.first_name,
                    last_name=body.last_name,
                    phone=body.phone,
                )
                mail.order_link(tx, settings, user, "verification", utcnow())
    return MailedView()


@router.post("/verification", status_code=202)
async def send_verification(
    body: MailboxBody, database: DatabaseAtHand, settings: SettingsAtHand
) -> MailedView:
    """Have the mail that proves an address sent again."""
    async with evenly(settings.even_answer_seconds), database.transaction() as tx:
        await _count_mail(tx, settings, body.email)
        user = await users.find_user_by_email(tx, body.email)
        if user is not None and not user.is_verified and user.status == "active":
            mail.order_link(tx, settings, user, "verification", utcnow())
    return MailedView()


@router.post("/password-reset", status_code=202)
async def send_password_reset(
    body: MailboxBody, database: DatabaseAtHand, settings: SettingsAtHand
) -> MailedView:
    """Have a link sent by which a new password can be chosen."""
    async with evenly(settings.even_answer_seconds), database.transaction() as tx:
        await _count_mail(tx, settings, body.email)
        user = await users.find_user_by_email(tx, body.email)
        if user is not None and user.status == "active":
            mail.order_link(tx, settings, user, "password_reset", utcnow())
    return MailedView()


async def _use_token(tx: AsyncSession, text: str, purpose: Purpose) -> User:
    """Use up a token of a mail; returns its user, locked."""
    token = await email_tokens.lock_email_token(tx, text, purpose)
    try:
        user = await users.lock_user(tx, token.user_id)
    except NotFound:
        raise BadEmailToken from None
    token.use(user.email, utcnow())
    return user


@router.post("/verify", status_code=204)
async def verify(
    body: VerifyBody,
    caller: MaybeCaller,
    database: DatabaseAtHand,
    settings: SettingsAtHand,
    passwords: PasswordsAtHand,
    device: DeviceAtHand,
) -> None:
    """Prove the e-mail address by the token mailed to it, as the person who opened the account.

    Without the password, the way to an account that a stranger opened is a password reset.
    """
    async with database.transaction() as tx:
        known = await email_tokens.get_user_of_token(tx, body.token, "verification", utcnow())
    if caller is None or caller.id != known.id:
        if body.password is None:
            raise PasswordRequired
        await _count_passwords(database, settings, device)
        if not await passwords.check(body.password, known.password_hash):
            raise PasswordRequired
    async with database.transaction() as tx:
        user = await _use_token(tx, body.token, "verification")
        if user.password_hash != known.password_hash:
            raise PasswordRequired
        await accounts.prove_mailbox(tx, user, utcnow())


@router.post("/password-reset/confirm", status_code=204)
async def reset_password(
    body: NewPasswordBody,
    database: DatabaseAtHand,
    settings: SettingsAtHand,
    passwords: PasswordsAtHand,
    device: DeviceAtHand,
) -> None:
    """Choose a new password by the token mailed; every session ends, and the address is proven.

    Where it was not proven before, whatever else the account stored is deleted, orders excepted.
    """
    check_length(body.password)
    await _count_passwords(database, settings, device)
    async with database.transaction() as tx:
        user = await email_tokens.get_user_of_token(tx, body.token, "password_reset", utcnow())
    await passwords.judge(body.password, words_of(user.email, user.first_name, user.last_name))
    password_hash = await passwords.hash(body.password)
    async with database.transaction() as tx:
        user = await _use_token(tx, body.token, "password_reset")
        now = utcnow()
        user.password_hash = password_hash
        await accounts.reclaim_account(tx, user, now)
        await accounts.end_sessions(tx, user, now)
        await email_tokens.void_email_tokens(tx, user.id, now)
        mail.warn_of_password(tx, user)
