"""Charges captured, declined, cancelled and refunded, and their ledger entries."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from testkit.payment_provider import ProviderProcess, a_charge


def test_a_valid_card_is_captured_at_once(provider: ProviderProcess) -> None:
    charge = provider.charge()

    assert charge["status"] == "succeeded"
    assert charge["captured_amount"] == 1999
    assert charge["card"] == {"brand": "visa", "last_four": "4242", "exp": "2032-12"}
    assert provider.balances(charge["reference"]) == {"customer": -1999, "merchant": 1999}
    assert provider.get(charge) == charge
    assert provider.charges_of(charge["reference"]) == [charge]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired", "expired_card"),
        ("tok_made_up", "invalid_token"),
        ("pm_made_up", "payment_method_unknown"),
    ],
)
def test_a_refused_token_moves_no_money(provider: ProviderProcess, token: str, code: str) -> None:
    charge = provider.charge(token)

    assert (charge["status"], charge["failure_code"]) == ("failed", code)
    assert provider.balances(charge["reference"]) == {}


def test_a_repeat_gets_the_stored_response_and_charges_nothing(provider: ProviderProcess) -> None:
    request_body, key = a_charge(), str(uuid4())

    first = provider.post("/v1/charges", request_body, key)
    again = provider.post("/v1/charges", request_body, key)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(provider.charges_of(request_body["reference"])) == 1


def test_a_key_belongs_to_one_request(provider: ProviderProcess) -> None:
    request_body, key = a_charge(), str(uuid4())
    charge = provider.post("/v1/charges", request_body, key).json()

    other_body = provider.post("/v1/charges", request_body | {"amount": 1}, key)
    other_route = provider.post(f"/v1/charges/{charge['id']}/refund", {"amount": 1999}, key)

    for answer in (other_body, other_route):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert provider.get(charge)["refunded_amount"] == 0


def test_20_equal_concurrent_requests_charge_once(provider: ProviderProcess) -> None:
    request_body, key = a_charge(), str(uuid4())

    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: provider.post("/v1/charges", request_body, key), range(20))
        )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert provider.balances(request_body["reference"]) == {"customer": -1999, "merchant": 1999}


def test_a_partial_capture_returns_the_rest_to_the_customer(provider: ProviderProcess) -> None:
    charge = provider.charge(capture=False)
    assert charge["status"] == "authorized"
    assert provider.balances(charge["reference"]) == {"customer": -1999, "held": 1999}

    captured = provider.post_step(charge, "capture", amount=1500)

    assert (captured["status"], captured["captured_amount"]) == ("succeeded", 1500)
    assert provider.balances(charge["reference"]) == {"customer": -1500, "merchant": 1500}


def test_a_capture_above_the_authorized_amount_or_repeated_is_refused(
    provider: ProviderProcess,
) -> None:
    charge = provider.charge(capture=False)

    assert provider.refusal(charge, "capture", amount=2000) == "capture_exceeds_authorized"
    provider.post_step(charge, "capture", amount=1999)
    assert provider.refusal(charge, "capture", amount=1) == "not_authorized"


@pytest.mark.parametrize("capture", [True, False])
def test_a_failed_capture_releases_the_authorized_amount(
    provider: ProviderProcess, *, capture: bool
) -> None:
    charge = provider.charge("tok_capture_fails", capture=capture)
    if not capture:
        charge = provider.post_step(charge, "capture", amount=1999)

    assert (charge["status"], charge["failure_code"]) == ("failed", "capture_failed")
    assert provider.balances(charge["reference"]) == {}


def test_cancelling_an_authorized_charge_releases_the_amount(provider: ProviderProcess) -> None:
    charge = provider.charge(capture=False)

    assert provider.post_step(charge, "cancel")["status"] == "voided"
    assert provider.post_step(charge, "cancel")["status"] == "voided"
    assert provider.refusal(charge, "capture", amount=1999) == "not_authorized"
    assert provider.balances(charge["reference"]) == {}


def test_cancelling_a_captured_charge_returns_it_as_captured(provider: ProviderProcess) -> None:
    charge = provider.charge()

    assert provider.post_step(charge, "cancel") == charge


def test_a_confirmation_during_the_cancel_captures_the_charge(
    provider: ProviderProcess,
) -> None:
    charge = provider.charge("tok_late_capture")
    assert charge["status"] == "requires_action"

    cancelled = provider.post_step(charge, "cancel")

    assert (cancelled["status"], cancelled["captured_amount"]) == ("succeeded", 1999)
    assert provider.balances(charge["reference"]) == {"customer": -1999, "merchant": 1999}


def test_a_refund_never_exceeds_the_captured_amount(provider: ProviderProcess) -> None:
    charge = provider.charge()

    refunded = provider.post_step(charge, "refund", amount=1500, reference="return-1")
    assert refunded["refund"] | {"id": None} == {
        "id": None,
        "amount": 1500,
        "status": "succeeded",
        "failure_code": None,
        "reference": "return-1",
    }
    assert provider.refusal(charge, "refund", amount=500) == "refund_exceeds_captured"
    provider.post_step(charge, "refund", amount=499)
    assert provider.get(charge)["refunded_amount"] == 1999
    assert provider.balances(charge["reference"]) == {}


def test_of_concurrent_full_refunds_one_succeeds(provider: ProviderProcess) -> None:
    charge = provider.charge()

    with ThreadPoolExecutor(8) as pool:
        path = f"/v1/charges/{charge['id']}/refund"
        answers = list(pool.map(lambda _: provider.post(path, {"amount": 1999}), range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert provider.balances(charge["reference"]) == {}


def test_a_failed_refund_succeeds_under_a_new_key(provider: ProviderProcess) -> None:
    charge = provider.charge("tok_refund_fails_once")

    failed = provider.post_step(charge, "refund", amount=1999)
    assert (failed["refund"]["status"], failed["refunded_amount"]) == ("failed", 0)
    assert provider.post_step(charge, "refund", amount=1999)["refund"]["status"] == "succeeded"
    assert provider.balances(charge["reference"]) == {}


def test_an_uncaptured_charge_cannot_be_refunded(provider: ProviderProcess) -> None:
    charge = provider.charge("tok_declined")

    assert provider.refusal(charge, "refund", amount=1) == "not_captured"


def test_a_refusal_is_stored_as_the_response_of_its_key(provider: ProviderProcess) -> None:
    charge, key = provider.charge(capture=False), str(uuid4())
    path = f"/v1/charges/{charge['id']}/refund"

    refused = provider.post(path, {"amount": 1999}, key)
    provider.post_step(charge, "capture", amount=1999)
    again = provider.post(path, {"amount": 1999}, key)

    assert (refused.status_code, again.status_code) == (409, 409)
    assert again.content == refused.content
    assert again.headers["content-type"] == "application/problem+json"


def test_a_bank_transfer_of_another_amount_is_captured_as_received(
    provider: ProviderProcess,
) -> None:
    charge = provider.charge(method="bank_transfer")
    assert (charge["status"], charge["next_action"]["type"]) == ("pending", "bank_transfer")

    arrived = provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1000}).json()

    assert (arrived["status"], arrived["captured_amount"]) == ("succeeded", 1000)
    assert provider.balances(charge["reference"]) == {"customer": -1000, "merchant": 1000}
    again = provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 999})
    assert (again.status_code, again.json()["code"]) == (409, "transfer_not_expected")


def test_a_bank_transfer_may_arrive_after_the_charge_was_voided(provider: ProviderProcess) -> None:
    charge = provider.charge(method="bank_transfer")
    assert provider.post_step(charge, "cancel")["status"] == "voided"

    provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1999})

    assert provider.get(charge)["status"] == "succeeded"
    refunded = provider.post_step(charge, "refund", amount=1999)
    assert refunded["refunded_amount"] == 1999


def test_a_saved_method_behaves_like_its_token_until_it_is_deleted(
    provider: ProviderProcess,
) -> None:
    saved = provider.post("/v1/payment-methods", {"type": "card", "token": "tok_ok"}).json()
    assert saved["card"]["last_four"] == "4242"
    assert provider.charge(saved["id"])["status"] == "succeeded"
    assert provider.charge(saved["id"], method="wallet")["failure_code"] == (
        "payment_method_mismatch"
    )

    gone = [provider.client.delete(f"/v1/payment-methods/{saved['id']}") for _ in range(2)]

    assert [answer.status_code for answer in gone] == [204, 404]
    assert provider.charge(saved["id"])["failure_code"] == "payment_method_unknown"


def test_paypal_requires_its_customer_unless_the_account_was_saved(
    provider: ProviderProcess,
) -> None:
    saved = provider.post("/v1/payment-methods", {"type": "paypal", "token": "tok_ok"}).json()

    first = provider.charge(method="paypal")
    later = provider.charge(saved["id"], method="paypal")

    assert (first["status"], later["status"]) == ("requires_action", "succeeded")
    assert saved["paypal_email"] == later["paypal_email"] == "buyer@example.com"
    assert later["card"] is None
