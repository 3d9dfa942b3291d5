"""Registration, e-mail verification and password reset."""

import asyncio
from typing import Any

from contracts.identity import CustomerChanged, EmailVerified, UserRegistered

PASSWORD = "the tide turns at seven past four"
OTHER = "nine herons stand in the shallows"


async def test_a_registered_user_can_log_in_at_once(client: Any) -> None:
    assert (await client.register(phone="+49 30 901820")).status_code == 202

    login = (await client.log_in("ADA@Example.com")).json()
    assert login["user"]["email"] == "ada@example.com"
    assert login["user"]["email_verified"] is False
    assert login["user"]["phone"] == "+4930901820"
    assert login["user"]["roles"] == ["customer"]
    [registered], [changed] = [
        await client.identity.published(kind) for kind in (UserRegistered, CustomerChanged)
    ]
    assert str(registered.user_id) == login["user"]["id"]
    assert str(changed.customer_id) == login["user"]["customer_id"]
    assert (registered.sequence, changed.sequence) == (1, 1)


async def test_registering_a_known_address_mails_its_owner(client: Any) -> None:
    first = await client.register()
    again = await client.register(email="Ada@Example.COM", password=OTHER, first_name="Eve")

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert [mail.type for mail in await client.mails()] == ["verification", "password_reset"]
    assert (await client.log_in(password=OTHER)).status_code == 401
    assert (await client.log_in()).json()["user"]["first_name"] == "Ada"


async def test_ten_concurrent_registrations_create_one_account(identity: Any, client: Any) -> None:
    answers = await asyncio.gather(*(client.register() for _ in range(10)))

    assert {answer.status_code for answer in answers} == {202, 429}
    assert len(await identity.sql("select id from users")) == 1
    assert len(await identity.published(UserRegistered)) == 1


async def test_the_mailed_link_verifies_the_address_once(identity: Any, client: Any) -> None:
    await client.register()
    [mail] = await client.mails("verification")
    assert mail.recipient == "ada@example.com"

    body = {"token": await client.token_of(mail), "password": PASSWORD}
    assert (await client.post("/v1/auth/verify", body)).status_code == 204
    again = await client.post("/v1/auth/verify", body)
    assert again.json()["code"] == "bad_email_token"
    assert (await client.log_in()).json()["user"]["email_verified"] is True
    assert len(await identity.published(EmailVerified)) == 1


async def test_an_expired_token_or_one_of_another_purpose_is_refused(
    identity: Any, client: Any
) -> None:
    await client.register()
    token = await client.token_of((await client.mails("verification"))[0])
    await identity.sql("update email_tokens set expires_at = now()")
    late = await client.post("/v1/auth/verify", {"token": token, "password": PASSWORD})
    assert late.json()["code"] == "bad_email_token"
    body = {"token": token, "password": OTHER}
    answer = await client.post("/v1/auth/password-reset/confirm", body)
    assert answer.json()["code"] == "bad_email_token"


async def test_the_verification_mail_is_repeated_only_before_verification(client: Any) -> None:
    await client.register()
    for email in ("ada@example.com", "unknown@example.com"):
        assert (await client.post("/v1/auth/verification", {"email": email})).status_code == 202
    assert len(await client.mails("verification")) == 2
    assert (await client.verify()).status_code == 204
    await client.post("/v1/auth/verification", {"email": "ada@example.com"})
    assert len(await client.mails("verification")) == 2


async def test_a_new_password_ends_every_session_and_verifies_the_address(client: Any) -> None:
    login = await client.register_and_log_in()
    [first] = await client.mails("verification")
    earlier = {"token": await client.token_of(first)}
    known = await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    unknown = await client.post("/v1/auth/password-reset", {"email": "unknown@example.com"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    [mail] = await client.mails("password_reset")
    body = {"token": await client.token_of(mail), "password": OTHER}

    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204

    again = await client.post("/v1/auth/password-reset/confirm", body)
    assert again.json()["code"] == "bad_email_token"
    assert (await client.refresh(login["refresh_token"])).json()["code"] == "session_ended"
    assert (await client.log_in()).status_code == 401
    assert (await client.log_in(password=OTHER)).json()["user"]["email_verified"] is True
    spent = await client.post("/v1/auth/verify", earlier)
    assert spent.json()["code"] == "bad_email_token"


async def test_a_squatter_loses_the_account_to_the_mailboxs_owner(client: Any) -> None:
    squatter = await client.register_and_log_in()
    await client.register(password=OTHER)
    [mail] = await client.mails("password_reset")
    body = {"token": await client.token_of(mail), "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204

    assert (await client.log_in()).status_code == 401
    assert (await client.refresh(squatter["refresh_token"])).status_code == 401


async def test_mails_to_one_mailbox_are_limited(client: Any) -> None:
    body = {"email": "unknown@example.com"}
    answers = [await client.post("/v1/auth/password-reset", body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert answers[-1].json()["code"] == "too_many_attempts"
    assert 3500 < int(answers[-1].headers["Retry-After"]) <= 3600


async def test_registration_refuses_a_password_that_is_easy_to_guess(client: Any) -> None:
    refused = [
        ("fourteen chars", "password_too_short"),
        ("Ada Lovelace ada@example.com", "password_too_common"),
    ]
    for password, code in refused:
        answer = await client.register(password=password)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_reset_refuses_a_password_of_known_personal_words(
    identity: Any, client: Any
) -> None:
    await client.register_and_log_in()
    await client.post("/v1/auth/password-reset", {"email": "ada@example.com"})
    token = await client.token_of((await client.mails("password_reset"))[0])
    for password in ("ada@example.com ada", "Ada Lovelace ada@example.com", "adalovelaceada1"):
        body = {"token": token, "password": password}
        answer = await client.post("/v1/auth/password-reset/confirm", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "password_too_common")
    # The link still works: a refused password does not use it up.
    body = {"token": token, "password": OTHER}
    assert (await client.post("/v1/auth/password-reset/confirm", body)).status_code == 204


async def test_passwords_chosen_from_one_address_are_limited(identity: Any, client: Any) -> None:
    limited = identity.running.settings.model_copy(update={"chosen_passwords_per_address": 2})
    identity.client._transport.app.app.state.settings = limited

    async def chosen(address: str, number: int) -> int:
        body = {
            "email": f"ada{number}@example.com",
            "password": "1q2w3e4r5t6y7u8i",
            "first_name": "Ada",
            "last_name": "Lovelace",
        }
        answer = await client.post("/v1/auth/register", body, **{"X-Client-Address": address})
        return answer.status_code

    answers = [await chosen("198.51.100.1", number) for number in range(4)]
    assert answers == [422, 422, 429, 429]
    assert await chosen("198.51.100.2", 5) == 422
    body = {"token": "A" * 43, "password": OTHER}
    headers = {"X-Client-Address": "198.51.100.1"}
    reset = await client.post("/v1/auth/password-reset/confirm", body, **headers)
    assert reset.status_code == 429


async def test_an_invalid_registration_is_refused(identity: Any, client: Any) -> None:
    invalid: list[dict[str, Any]] = [
        {"email": "not an address"},
        {"email": "ada@localhost"},
        {"email": "a\x00da@example.com"},
        {"email": "é@example.com"},
        {"email": "x" * 250 + "@example.com"},
        {"email": None},
        {"password": "x" * 257},
        {"password": "the tide turns at seven\x00 past four"},
        {"password": ["the tide turns at seven past four"]},
        {"first_name": ""},
        {"first_name": "x" * 101},
        {"phone": "12"},
        {"phone": "030 901820"},
        {"role": "admin"},
        {"is_admin": True},
        {"status": "active"},
        {"email_verified": True},
    ]
    for changes in invalid:
        answer = await client.register(**changes)
        assert answer.status_code == 422, answer.text
        assert await identity.sql("select id from users") == []


async def test_a_malformed_token_is_refused(client: Any) -> None:
    for token in ["", "x", "é", "x" * 201, "a b", None, 7, "\x00"]:
        assert (await client.post("/v1/auth/verify", {"token": token})).status_code == 422


async def test_answers_take_a_minimum_duration(identity: Any, client: Any) -> None:
    from identity.api.dependencies import minimum_duration

    loop = asyncio.get_running_loop()
    for work in (0.0, 0.02):
        began = loop.time()
        async with minimum_duration(0.05):
            await asyncio.sleep(work)
        assert 0.05 <= loop.time() - began < 0.5
