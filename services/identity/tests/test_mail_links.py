"""Links of mails: returned to notifications alone, the same each time, and never stored."""

from pathlib import Path
from typing import Any

from chassis.ids import new_id
from identity.clients import derive_key
from identity.settings import load_signing_key

from .conftest import PASSWORD, write_key

OTHER = "nine herons stand in the shallows"


async def test_a_mail_carries_neither_link_nor_token(identity: Any, client: Any) -> None:
    await client.register()
    [mail] = await client.mails("verification")
    assert mail.facts == {"name": "Ada"}

    answer = (await client.request_link(mail)).json()

    assert answer["link"].endswith(f"/verify-email?token={answer['token']}")
    for table in ("email_tokens", "outbox", "idempotency_keys"):
        rows = await identity.sql(f"select {table}::text from {table}")
        assert all(answer["token"] not in row[0] for row in rows)


async def test_a_second_request_returns_the_same_link(client: Any) -> None:
    await client.register()
    [mail] = await client.mails("verification")
    first, second = [(await client.request_link(mail)).json() for _ in range(2)]
    assert first == second
    assert (
        await client.post("/v1/auth/verify", {"token": first["token"], "password": PASSWORD})
    ).status_code == 204


async def test_only_notifications_can_request_a_link(client: Any) -> None:
    await client.register()
    [mail] = await client.mails("verification")
    for service in ("orders", "identity", "cart"):
        assert (await client.request_link(mail, service)).status_code == 403
    person = await client.identity.client.post(f"/internal/mail-links/{mail.reference_id}")
    assert person.status_code == 401
    unknown = mail.model_copy(update={"reference_id": new_id()})
    assert (await client.request_link(unknown)).status_code == 404


async def test_a_spent_link_is_not_revealed(identity: Any, client: Any) -> None:
    await client.register()
    await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    verification, reset = await client.mails()
    body = {"token": await client.token_of(reset), "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204
    await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    await identity.sql("update email_tokens set expires_at = now() where used_at is null")

    late = (await client.mails())[-1]
    for mail in (verification, reset, late):
        answer = await client.request_link(mail)
        assert (answer.status_code, answer.json()["code"]) == (409, "email_token_spent")


async def test_a_mailed_link_survives_a_key_rotation(
    identity: Any, client: Any, tmp_path: Path
) -> None:
    await client.register()
    [mail] = await client.mails("verification")
    mailed = await client.token_of(mail)
    other = load_signing_key(write_key(tmp_path / "other.pem"))
    identity.running.resources.email_token_key = derive_key(other, b"e-mail tokens")

    assert (
        await client.post("/v1/auth/verify", {"token": mailed, "password": PASSWORD})
    ).status_code == 204


async def test_a_mail_rewritten_after_a_key_rotation_works(
    identity: Any, client: Any, tmp_path: Path
) -> None:
    await client.register()
    [mail] = await client.mails("verification")
    before = await client.token_of(mail)
    other = load_signing_key(write_key(tmp_path / "other.pem"))
    identity.running.resources.email_token_key = derive_key(other, b"e-mail tokens")
    after = await client.token_of(mail)

    assert before != after
    assert (
        await client.post("/v1/auth/verify", {"token": after, "password": PASSWORD})
    ).status_code == 204
