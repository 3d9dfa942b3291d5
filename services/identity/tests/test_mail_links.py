"""The link of a mail: revealed to notifications alone, the same each time, and stored nowhere."""

from pathlib import Path
from typing import Any

from chassis.ids import new_id
from identity import signing

from .conftest import PASSWORD, write_key

OTHER = "nine herons stand in the shallows"


async def test_a_mail_carries_neither_link_nor_token(identity: Any, desk: Any) -> None:
    await desk.register()
    [mail] = await desk.mails("verification")
    assert mail.facts == {"name": "Ada"}

    answer = (await desk.link_of(mail)).json()

    assert answer["link"].endswith(f"/verify-email?token={answer['token']}")
    for table in ("email_tokens", "outbox", "idempotency_keys"):
        rows = await identity.sql(f"select {table}::text from {table}")
        assert all(answer["token"] not in row[0] for row in rows)


async def test_a_link_requested_again_is_the_same_and_works(desk: Any) -> None:
    await desk.register()
    [mail] = await desk.mails("verification")
    first, second = [(await desk.link_of(mail)).json() for _ in range(2)]
    assert first == second
    assert (
        await desk.post("/v1/auth/verify", {"token": first["token"], "password": PASSWORD})
    ).status_code == 204


async def test_a_link_is_for_notifications_alone(desk: Any) -> None:
    await desk.register()
    [mail] = await desk.mails("verification")
    for service in ("orders", "identity", "cart"):
        assert (await desk.link_of(mail, service)).status_code == 403
    person = await desk.identity.client.post(f"/internal/mail-links/{mail.reference_id}")
    assert person.status_code == 401
    unknown = mail.model_copy(update={"reference_id": new_id()})
    assert (await desk.link_of(unknown)).status_code == 404


async def test_a_spent_link_is_not_revealed(identity: Any, desk: Any) -> None:
    await desk.register()
    await desk.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    verification, reset = await desk.mails()
    body = {"token": await desk.token_of(reset), "password": OTHER}
    assert (await desk.post("/v1/auth/password-reset/confirm", body)).status_code == 204
    await desk.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    await identity.sql("update email_tokens set expires_at = now() where used_at is null")

    late = (await desk.mails())[-1]
    for mail in (verification, reset, late):
        answer = await desk.link_of(mail)
        assert (answer.status_code, answer.json()["code"]) == (409, "email_token_spent")


async def test_a_mailed_link_outlives_a_change_of_keys(
    identity: Any, desk: Any, tmp_path: Path
) -> None:
    await desk.register()
    [mail] = await desk.mails("verification")
    mailed = await desk.token_of(mail)
    other = signing.load(write_key(tmp_path / "other.pem"))
    identity.running.resources.email_token_key = signing.derived_key(other, b"e-mail tokens")

    assert (
        await desk.post("/v1/auth/verify", {"token": mailed, "password": PASSWORD})
    ).status_code == 204


async def test_after_a_change_of_keys_a_mail_written_again_works(
    identity: Any, desk: Any, tmp_path: Path
) -> None:
    await desk.register()
    [mail] = await desk.mails("verification")
    before = await desk.token_of(mail)
    other = signing.load(write_key(tmp_path / "other.pem"))
    identity.running.resources.email_token_key = signing.derived_key(other, b"e-mail tokens")
    after = await desk.token_of(mail)

    assert before != after
    assert (
        await desk.post("/v1/auth/verify", {"token": after, "password": PASSWORD})
    ).status_code == 204
