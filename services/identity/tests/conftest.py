"""Identity on a test database, and a client with the steps of its users."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from chassis.ids import new_id
from contracts.notifications import Notify
from identity.jobs import bootstrap
from identity.main import service
from identity.settings import IdentitySettings
from testkit.harness import Harness, running_service, service_token, template_of

PASSWORD = "the tide turns at seven past four"
ADA = {
    "email": "ada@example.com",
    "password": PASSWORD,
    "first_name": "Ada",
    "last_name": "Lovelace",
}
ADMIN = "admin@example.com"
ADMIN_PASSWORD = "a lantern over the northern gate"
CHEAP: dict[str, Any] = {"argon2_memory_kib": 8, "argon2_iterations": 1, "even_answer_seconds": 0.0}

INSERT_STAFF = (
    (
        "insert into users (id, email, password_hash, first_name, last_name, status,"
        " registration_status, email_verified_at)"
        " values (:id, :email, 'x', 'Clerk', 'Clerk', 'active', 'registered', now())"
    ),
    (
        "insert into customers (id, user_id, email, first_name, last_name, status, created_by,"
        " updated_by) values (:id, :id, :email, 'Clerk', 'Clerk', 'active', 'test', 'test')"
    ),
    "insert into roles (id, name, description) values (:role, :name, '')",
    (
        "insert into role_permissions (role_id, permission)"
        " select :role, unnest(cast(:permissions as text[]))"
    ),
    "insert into user_roles (user_id, role_id) values (:id, :role)",
)


@pytest.fixture(scope="session")
def template() -> str:
    return template_of(service)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_key(tmp_path_factory.mktemp("keys") / "signing-key.pem")


def write_key(file: Path) -> Path:
    made = ec.generate_private_key(ec.SECP256R1())
    file.write_bytes(
        made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest_asyncio.fixture
async def identity(template: str, key_file: Path) -> AsyncIterator[Harness[IdentitySettings]]:
    async for harness in running_service(service, template, signing_key_file=key_file, **CHEAP):
        yield harness


@dataclass
class IdentityClient:
    """The steps of users at identity: register, read mail, log in, send requests."""

    identity: Harness[IdentitySettings]

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.identity.client.post(path, json=body, headers=headers)

    async def register(self, **changes: Any) -> httpx.Response:
        return await self.post("/v1/auth/register", {**ADA, **changes})

    async def log_in(
        self, email: str = ADA["email"], password: str = PASSWORD, **changes: Any
    ) -> httpx.Response:
        body = {"email": email, "password": password, **changes}
        return await self.post("/v1/auth/login", body)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.post("/v1/auth/refresh", {"refresh_token": token})

    async def register_and_log_in(
        self, email: str = ADA["email"], **changes: Any
    ) -> dict[str, Any]:
        """Register and log in; returns the login's answer."""
        assert (await self.register(email=email, **changes)).status_code == 202
        answer = await self.log_in(email)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def create_staff(self, *permissions: str) -> dict[str, str]:
        """Create a verified user with a role of exactly these permissions; returns their headers."""
        user_id, role_id, email = new_id(), new_id(), f"clerk-{new_id()}@example.com"
        given = {"id": user_id, "role": role_id, "email": email, "name": f"role-{role_id}"}
        for statement in INSERT_STAFF:
            await self.identity.sql(statement, **given, permissions=list(permissions))
        return self.identity.signed_in(user_id=user_id, email=email, permissions=permissions)

    async def mails(self, kind: str | None = None) -> list[Notify]:
        mails = await self.identity.published(Notify)
        return [mail for mail in mails if kind in (None, mail.type)]

    async def request_link(self, mail: Notify, service: str = "notifications") -> httpx.Response:
        """Request the link of a mail as notifications does."""
        bearer = {"Authorization": f"Bearer {service_token(service)}"}
        path = f"/internal/mail-links/{mail.reference_id}"
        return await self.identity.client.post(path, headers=bearer)

    async def token_of(self, mail: Notify) -> str:
        """The token in the link of a mail."""
        token: str = (await self.request_link(mail)).json()["token"]
        return token

    async def register_verified(self, email: str = ADA["email"]) -> dict[str, Any]:
        """Register, verify the address and log in; returns the login's answer."""
        assert (await self.register(email=email)).status_code == 202
        assert (await self.verify()).status_code == 204
        return (await self.log_in(email)).json()

    async def verify(self) -> httpx.Response:
        """Follow the newest verification link, with the password."""
        token = await self.token_of((await self.mails("verification"))[-1])
        return await self.post("/v1/auth/verify", {"token": token, "password": PASSWORD})

    async def bootstrap(self, **changes: Any) -> None:
        """Run the bootstrap of `migrate` with changed settings."""
        await bootstrap(self.identity.running.settings.model_copy(update=changes))


@pytest.fixture
def client(identity: Harness[IdentitySettings]) -> IdentityClient:
    return IdentityClient(identity)


def bearer(login: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {login['access_token']}"}


@pytest_asyncio.fixture
async def staff(client: IdentityClient) -> dict[str, str]:
    return await client.create_staff(
        "users:read", "users:write", "customers:read", "customers:write"
    )


@pytest_asyncio.fixture
async def admin(client: IdentityClient) -> dict[str, str]:
    """Headers of the first administrator, who has every permission."""
    await client.bootstrap(
        bootstrap_admin_email=ADMIN, bootstrap_admin_password=SecretStr(ADMIN_PASSWORD)
    )
    return bearer((await client.log_in(ADMIN, ADMIN_PASSWORD)).json())
