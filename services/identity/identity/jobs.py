"""Work without a request: the bootstrap at the end of `migrate`."""

import json
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, outbox
from chassis.db import Database
from chassis.ids import utcnow
from identity import service
from identity.clients import Passwords
from identity.domain.credentials import ensure_strong
from identity.domain.role import ADMIN
from identity.settings import IdentitySettings
from identity.store import credentials, customers, roles, users


async def bootstrap(settings: IdentitySettings) -> None:
    """Store the service clients' secrets as hashes, and create the first administrator."""
    secrets = _read_client_secrets(settings.service_client_secrets_file)
    password_hash = await _hash_administrator_password(settings)
    database = Database(settings.owner_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            if secrets:
                await credentials.upsert_service_clients(tx, secrets)
            if password_hash is not None and settings.bootstrap_admin_email:
                await _create_administrator(tx, settings.bootstrap_admin_email, password_hash)
    finally:
        await database.close()


def _read_client_secrets(file: Path | None) -> dict[str, str]:
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
    return {name: text.strip() for name, text in found.items()}


async def _hash_administrator_password(settings: IdentitySettings) -> str | None:
    if settings.bootstrap_admin_password is None:
        return None
    password = settings.bootstrap_admin_password.get_secret_value()
    ensure_strong(password)
    passwords = Passwords(settings.argon2_memory_kib, settings.argon2_iterations)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


async def _create_administrator(tx: AsyncSession, email: str, password_hash: str) -> None:
    """Create an administrator unless one can log in already."""
    await roles.lock_authority(tx)
    if await roles.has_administrator(tx):
        return
    address = email.strip().lower()
    user = await users.find_user_by_email(tx, address)
    if user is None:
        user, _ = await service.open_account(
            tx,
            email=address,
            password_hash=password_hash,
            first_name="First",
            last_name="Administrator",
            phone=None,
        )
    else:
        # A stranger may have registered this address; only the operator's password is valid now.
        user.password_hash = password_hash
        await service.end_sessions(tx, user, utcnow())
        service.warn_password_changed(tx, user)
        await service.reclaim_account(tx, user, utcnow())
    await service.verify_email(tx, user, utcnow())
    # A ban or block would otherwise leave the operator without any administrator.
    customer = await customers.lock_customer_of_user(tx, user.id)
    outbox.add(tx, *user.set_status("active", customer.id))
    outbox.add(tx, *customer.set_status("active", context.current().actor))
    await users.add_roles(tx, user.id, [ADMIN])
