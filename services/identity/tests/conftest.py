"""Identity on a database of its own, and a desk that does what people do."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.testing import Harness, running_service, template_of
from contracts.notifications import Notify
from identity.bootstrap import bootstrap
from identity.main import service
from identity.settings import IdentitySettings

PASSWORD = "the tide turns at seven past four"
ADA = {
    "email": "ada@example.com",
    "password": PASSWORD,
    "first_name": "Ada",
    "last_name": "Lovelace",
}
CHEAP = {"argon2_memory_kib": 8, "argon2_iterations": 1, "even_answer_seconds": 0.0}


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
class Desk:
    """What people do at identity: register, read their mail, log in, ask for things."""

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

    async def comes_in(self, email: str = ADA["email"], **changes: Any) -> dict[str, Any]:
        """Register and log in; returns the answer of the login."""
        assert (await self.register(email=email, **changes)).status_code == 202
        answer = await self.log_in(email)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def mails(self, kind: str | None = None) -> list[Notify]:
        said = await self.identity.said(Notify)
        return [mail for mail in said if kind in (None, mail.type)]

    async def verify(self) -> httpx.Response:
        """Follow the newest verification link."""
        token = (await self.mails("verification"))[-1].facts["token"]
        return await self.post("/v1/auth/verify", {"token": token})

    async def bootstrapped(self, **changes: Any) -> None:
        """Do what `migrate` does after the tables are made."""
        await bootstrap(self.identity.running.settings.model_copy(update=changes))


@pytest.fixture
def desk(identity: Harness[IdentitySettings]) -> Desk:
    return Desk(identity)


def bearer(login: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {login['access_token']}"}


@pytest.fixture
def staff(identity: Harness[IdentitySettings]) -> dict[str, str]:
    return identity.signed_in(
        roles=("staff",),
        permissions=("users:read", "users:write", "customers:read", "customers:write"),
    )
