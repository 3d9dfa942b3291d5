"""Signing keys, service tokens, and the bootstrap of `migrate`."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from chassis.settings import load
from identity.domain.credentials import PasswordTooShort
from identity.main import service
from identity.settings import IdentitySettings
from testkit.harness import running_service

NEEDED = {
    "port": 1,
    "database_url": "postgresql+asyncpg://identity@127.0.0.1:9/identity",
    "broker_url": "amqp://user:nothing@127.0.0.1:9/none",
    "jwks_url": "http://127.0.0.1:9/jwks",
    "identity_url": "http://127.0.0.1:9",
    "service_client_secret": "a secret only for tests",
}
CLIENTS = {"orders": "the secret of orders", "cart": "the secret of cart"}


def pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


async def bootstrap(client: Any, folder: Path, clients: Any = None) -> None:
    file = folder / "clients.json"
    file.write_text(json.dumps(clients or CLIENTS))
    await client.bootstrap(service_client_secrets_file=file)


async def token_of(client: Any, client_id: str, secret: str) -> Any:
    return await client.post("/internal/token", {"client_id": client_id, "client_secret": secret})


async def test_a_service_obtains_a_valid_service_token(
    identity: Any, client: Any, tmp_path: Path
) -> None:
    await bootstrap(client, tmp_path)
    answer = await token_of(client, "orders", CLIENTS["orders"])
    assert (answer.status_code, answer.json()["expires_in"]) == (200, 600)

    token = answer.json()["access_token"]
    claims = await identity.running.keys.claims(token, "service")
    assert (claims["sub"], claims["typ"], claims["iss"]) == ("orders", "service", "cartwright")
    headers = {"Authorization": f"Bearer {token}"}
    refused = await identity.client.get("/v1/me", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "bad_token")
    assert CLIENTS["orders"] not in str(await identity.sql("select * from service_clients"))


@pytest.mark.parametrize(
    ("client_id", "secret", "status"),
    [
        ("orders", "the secret of cart", 401),
        ("unknown", "the secret of cart", 401),
        ("orders", "", 422),
        ("orders", "x\x00", 422),
        ("Orders'", "x", 422),
    ],
)
async def test_a_wrong_client_secret_is_refused(
    client: Any, tmp_path: Path, client_id: str, secret: str, status: int
) -> None:
    await bootstrap(client, tmp_path)
    assert (await token_of(client, client_id, secret)).status_code == status


async def test_migrating_again_updates_changed_secrets(
    identity: Any, client: Any, tmp_path: Path
) -> None:
    await bootstrap(client, tmp_path)
    await bootstrap(client, tmp_path, {"orders": "the new secret of orders"})
    assert (await token_of(client, "orders", CLIENTS["orders"])).status_code == 401
    assert (await token_of(client, "orders", "the new secret of orders")).status_code == 200
    assert (await token_of(client, "cart", CLIENTS["cart"])).status_code == 200


@pytest.mark.parametrize("text", ["{", "[]", '{"orders": 1}'])
async def test_an_invalid_secrets_file_is_explained(client: Any, tmp_path: Path, text: str) -> None:
    file = tmp_path / "clients.json"
    file.write_text(text)
    with pytest.raises(SystemExit, match="SERVICE_CLIENT_SECRETS_FILE"):
        await client.bootstrap(service_client_secrets_file=file)


async def test_tokens_of_the_previous_key_stay_valid_after_a_rotation(
    template: str, key_file: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh.pem"
    fresh.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    settings: dict[str, Any] = {"argon2_memory_kib": 8, "argon2_iterations": 1}
    tokens: list[str] = []
    generations: tuple[dict[str, Any], ...] = (
        {"signing_key_file": key_file},
        {"signing_key_file": fresh, "previous_signing_key_file": key_file},
    )
    for keys in generations:
        async for harness in running_service(service, template, **keys, **settings):
            issuer = harness.running.resources.issuer
            tokens.append(issuer.service_token("orders", _now()))
            shown = (await harness.client.get("/.well-known/jwks.json")).json()["keys"]
            for token in tokens:
                assert (await harness.running.keys.claims(token, "service"))["sub"] == "orders"
    assert len(shown) == 2
    assert shown[0]["kid"] == jwt.get_unverified_header(tokens[1])["kid"]
    assert shown[1]["kid"] == jwt.get_unverified_header(tokens[0])["kid"]
    assert all("d" not in key for key in shown)


def _now() -> Any:
    from chassis.ids import utcnow

    return utcnow()


def test_a_thumbprint_follows_rfc_7638() -> None:
    """The name of a key made by another library from the same members (RFC 7638)."""
    from identity.clients import PublicKey

    public = PublicKey.of(ec.generate_private_key(ec.SECP256R1()).public_key())
    again = jwt.PyJWK(public.document)
    assert again.key.public_numbers() == public.key.public_numbers()
    assert len(public.id) == 43


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"not a key",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_an_invalid_key_file_is_explained_at_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit):
        load(IdentitySettings, **NEEDED, signing_key_file=file)
    error = capsys.readouterr().err
    assert "SIGNING_KEY_FILE" in error
    assert "for example SIGNING_KEY_FILE=/run/secrets/signing-key.pem" in error


async def test_the_first_administrator_is_created_once(identity: Any, client: Any) -> None:
    wanted = {
        "bootstrap_admin_email": "Admin@example.com",
        "bootstrap_admin_password": SecretStr("a lantern over the northern gate"),
    }
    for _ in range(2):
        await client.bootstrap(**wanted)
    login = (await client.log_in("admin@example.com", "a lantern over the northern gate")).json()
    assert login["user"]["roles"] == ["admin", "customer"]
    assert login["user"]["email_verified"] is True

    await client.bootstrap(**{**wanted, "bootstrap_admin_email": "other@example.com"})
    assert len(await identity.sql("select id from users")) == 1


async def test_a_squatter_of_the_administrators_address_loses_access(
    client: Any,
) -> None:
    squatter = await client.register_and_log_in("admin@example.com")
    await client.bootstrap(
        bootstrap_admin_email="admin@example.com",
        bootstrap_admin_password=SecretStr("a lantern over the northern gate"),
    )
    assert (await client.log_in("admin@example.com")).status_code == 401
    assert (await client.refresh(squatter["refresh_token"])).status_code == 401


async def test_a_weak_first_password_is_refused(client: Any) -> None:
    with pytest.raises(PasswordTooShort):
        await client.bootstrap(
            bootstrap_admin_email="admin@example.com",
            bootstrap_admin_password=SecretStr("admin"),
        )
