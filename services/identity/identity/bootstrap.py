"""What `migrate` puts in place: the service clients and the first administrator."""

import json
from pathlib import Path

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, outbox
from chassis.db import Database
from chassis.ids import utcnow
from identity import accounts, mail
from identity.domain import secret
from identity.domain.password import check_password
from identity.domain.role import ADMIN
from identity.domain.service_client import ServiceClient
from identity.passwords import Passwords
from identity.settings import IdentitySettings
from identity.store import authority, customers, users


async def bootstrap(settings: IdentitySettings) -> None:
    """Store the service clients' secrets as hashes, and make an administrator where none is."""
    clients = _client_secrets(settings.service_client_secrets_file)
    password_hash = await _administrators_hash(settings)
    database = Database(settings.owner_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await _keep_clients(tx, clients)
            if password_hash is not None and settings.bootstrap_admin_email:
                await _make_administrator(tx, settings.bootstrap_admin_email, password_hash)
    finally:
        await database.close()


def _client_secrets(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"SERVICE_CLIENT_SECRETS_FILE cannot be read: {type(error).__name__}"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise SystemExit('SERVICE_CLIENT_SECRETS_FILE must look like {"orders": "a secret"}')
    return found


async def _administrators_hash(settings: IdentitySettings) -> str | None:
    if settings.bootstrap_admin_password is None:
        return None
    password = settings.bootstrap_admin_password.get_secret_value()
    check_password(password)
    passwords = Passwords(settings.argon2_memory_kib, settings.argon2_iterations)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


async def _keep_clients(tx: AsyncSession, clients: dict[str, str]) -> None:
    if not clients:
        return
    rows = [
        {"id": name, "secret_hash": secret.hashed(text.strip()), "scopes": ["internal"]}
        for name, text in clients.items()
    ]
    statement = insert(ServiceClient).values(rows)
    changed = {"secret_hash": statement.excluded.secret_hash, "updated_at": func.now()}
    await tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


async def _make_administrator(tx: AsyncSession, email: str, password_hash: str) -> None:
    await authority.lock_authority(tx)
    if await authority.has_administrator(tx):
        return
    address = email.strip().lower()
    user = await users.find_user_by_email(tx, address)
    if user is None:
        user, _ = await accounts.open_account(
            tx,
            email=address,
            password_hash=password_hash,
            first_name="First",
            last_name="Administrator",
            phone=None,
        )
    else:
        # Anybody can have registered this address before; the operator's password shall count.
        user.password_hash = password_hash
        await accounts.end_sessions(tx, user, utcnow())
        mail.warn_of_password(tx, user)
        await accounts.reclaim_account(tx, user, utcnow())
    await accounts.prove_mailbox(tx, user, utcnow())
    # A ban or block would otherwise leave the operator without any administrator.
    customer = await customers.lock_customer_of(tx, user.id)
    outbox.add(tx, *user.set_status("active", customer.id))
    outbox.add(tx, *customer.set_status("active", context.current().actor))
    await users.add_roles(tx, user.id, [ADMIN])
