"""Saved payment methods: by the provider's token, one default, never a card number."""

import asyncio
from typing import Any

import pytest

from chassis.ids import new_id
from contracts.payments import PaymentCaptured, PaymentFailed
from testkit.harness import Harness
from testkit.payment_provider import ProviderProcess

from .commands import collect, run_sweep

Payments = Harness[Any]
URL = "/v1/me/payment-methods"


async def save_method(payments: Payments, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    sent = {"type": "card", "token": "tok_ok", **body}
    answer = await payments.client.post(URL, json=sent, headers=headers)
    assert answer.status_code == 201, answer.text
    saved: dict[str, Any] = answer.json()
    return saved


async def list_saved(payments: Payments, headers: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await payments.client.get(URL, headers=headers)).json()["items"]
    return found


async def test_a_card_is_saved_without_its_number(payments: Payments) -> None:
    headers = payments.signed_in()
    card = await save_method(payments, headers)
    assert (card["brand"], card["last_four"], card["expires_at"]) == ("visa", "4242", "2032-12")
    assert card["is_default"]
    assert not card["is_expired"]
    assert await list_saved(payments, headers) == [card]
    assert await list_saved(payments, payments.signed_in()) == []
    paypal = await save_method(payments, headers, type="paypal")
    assert paypal["paypal_email"] == "buyer@example.com"


async def test_exactly_one_saved_method_is_the_default(payments: Payments) -> None:
    headers = payments.signed_in()
    first = await save_method(payments, headers)
    second = await save_method(payments, headers, is_default=True)
    defaults = [
        method["id"] for method in await list_saved(payments, headers) if method["is_default"]
    ]
    assert defaults == [second["id"]]

    answers = await asyncio.gather(
        *(
            payments.client.put(f"{URL}/{method['id']}/default", headers=headers)
            for method in (first, second) * 3
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert sum(method["is_default"] for method in await list_saved(payments, headers)) == 1


async def test_a_deleted_method_is_deleted_at_the_provider_too(
    payments: Payments, provider: ProviderProcess
) -> None:
    headers = payments.signed_in()
    card = await save_method(payments, headers)
    [row] = await payments.sql("select provider_token from saved_payment_methods")
    assert (await payments.client.delete(f"{URL}/{card['id']}", headers=headers)).status_code == 204
    again = await payments.client.delete(f"{URL}/{card['id']}", headers=headers)
    assert again.status_code == 404
    assert await list_saved(payments, headers) == []

    assert await run_sweep(payments, "deleted payment methods") == 1
    assert await payments.sql("select * from saved_payment_methods") == []
    assert provider.charge(row.provider_token)["failure_code"] == "payment_method_unknown"


async def test_a_method_the_provider_fails_to_delete_does_not_stop_the_others(
    payments: Payments,
) -> None:
    headers = payments.signed_in()
    stubborn, card = await save_method(payments, headers), await save_method(payments, headers)
    # No resource of the provider has this path, so it refuses the request.
    await payments.sql(
        "update saved_payment_methods set provider_token = '' where id = :id", id=stubborn["id"]
    )
    for method in (stubborn, card):
        await payments.client.delete(f"{URL}/{method['id']}", headers=headers)

    assert await run_sweep(payments, "deleted payment methods") == 1
    [row] = await payments.sql("select id from saved_payment_methods")
    assert str(row.id) == stubborn["id"]
    assert await run_sweep(payments, "deleted payment methods") == 0


async def test_a_method_of_another_customer_is_not_found(payments: Payments) -> None:
    card = await save_method(payments, payments.signed_in())
    stranger = payments.signed_in()
    changed = await payments.client.put(f"{URL}/{card['id']}/default", headers=stranger)
    deleted = await payments.client.delete(f"{URL}/{card['id']}", headers=stranger)
    assert (changed.status_code, deleted.status_code) == (404, 404)
    assert (await payments.client.get(URL)).status_code == 401


BAD_METHODS: list[dict[str, Any]] = [
    {"type": "card", "token": "4242424242424242"},
    {"type": "card", "token": "tok 4000-0566-5566-5556"},
    {"type": "cod", "token": "tok_ok"},
    {"type": "card", "token": ""},
    {"type": "card", "token": "tok_of_no_card"},
    {"type": "card", "token": "tok_ok", "customer_id": str(new_id())},
    {"type": "card", "token": 5},
]


async def test_an_invalid_method_is_refused_without_echoing_it(
    payments: Payments, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = payments.signed_in()
    for body in BAD_METHODS:
        answer = await payments.client.post(URL, json=body, headers=headers)
        assert answer.status_code == 422, answer.text
        seen = answer.text + "".join(capsys.readouterr())
        assert not any(digits in seen for digits in ("4242", "5556"))


async def test_an_unavailable_provider_is_reported(
    payments: Payments, provider: ProviderProcess
) -> None:
    provider.kill()
    try:
        sent = {"type": "card", "token": "tok_ok"}
        answer = await payments.client.post(URL, json=sent, headers=payments.signed_in())
    finally:
        provider.start()
    assert answer.status_code == 503


async def test_the_number_of_saved_methods_is_limited(payments: Payments) -> None:
    customer = new_id()
    await payments.sql(
        "insert into saved_payment_methods "
        "(id, customer_id, provider, provider_token, type, is_default) "
        "select gen_random_uuid(), :customer, 'sandbox', n::text, 'card', false "
        "from generate_series(1, 20) n",
        customer=customer,
    )
    sent = {"type": "card", "token": "tok_ok"}
    headers = payments.signed_in(customer_id=customer)
    answer = await payments.client.post(URL, json=sent, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_payment_methods")


async def test_only_the_customers_own_saved_card_pays_an_order(payments: Payments) -> None:
    customer = new_id()
    card = await save_method(payments, payments.signed_in(customer_id=customer))
    for payer in (customer, new_id(), None):
        await payments.deliver(collect(None, saved_method_id=card["id"], customer_id=payer))

    captured, *refused = await payments.published()
    assert isinstance(captured, PaymentCaptured)
    assert [event.reason for event in refused] == ["saved_method_unknown"] * 2


async def test_the_providers_id_of_a_stored_card_pays_no_order(
    payments: Payments, provider: ProviderProcess
) -> None:
    """Neither as a guest's one-time token nor saved as the customer's own."""
    await save_method(payments, payments.signed_in())
    [row] = await payments.sql("select provider_token from saved_payment_methods")
    command = collect(row.provider_token)
    await payments.deliver(command)
    [failed] = await payments.published(PaymentFailed)
    assert failed.reason == "token_not_one_time"
    assert provider.charges_of(str(command.order_id)) == []

    sent = {"type": "card", "token": row.provider_token}
    answer = await payments.client.post(URL, json=sent, headers=payments.signed_in())
    assert (answer.status_code, answer.json()["code"]) == (422, "token_refused")


async def test_an_expired_saved_card_is_refused(payments: Payments) -> None:
    customer = new_id()
    card = await save_method(
        payments, payments.signed_in(customer_id=customer), token="tok_expired"
    )
    assert card["is_expired"]
    await payments.deliver(collect(None, saved_method_id=card["id"], customer_id=customer))
    assert [event.reason for event in await payments.published(PaymentFailed)] == ["card_expired"]


async def test_methods_are_offered_by_country(payments: Payments) -> None:
    await payments.sql("update payment_methods set countries = '{DE,AT}' where code = 'cod'")
    await payments.sql("update payment_methods set enabled = false where code = 'wallet'")

    async def offered(query: str = "") -> list[str]:
        answer = await payments.client.get(f"/v1/payment-methods{query}")
        return [offer["code"] for offer in answer.json()["items"]]

    assert await offered() == ["card", "paypal", "bank_transfer", "cod"]
    assert await offered("?country=DE") == ["card", "paypal", "bank_transfer", "cod"]
    assert await offered("?country=US") == ["card", "paypal", "bank_transfer"]
    assert (await payments.client.get("/v1/payment-methods?country=xx")).status_code == 422
