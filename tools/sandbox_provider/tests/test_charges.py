"""What becomes of charges: captured, declined, cancelled, refunded, and what the ledger says of it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from sandbox_provider.testing import ProviderProcess, a_charge


def test_a_good_card_pays_at_once(provider: ProviderProcess) -> None:
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


def test_a_repeat_is_answered_as_before_and_charges_nothing(provider: ProviderProcess) -> None:
    asked, key = a_charge(), str(uuid4())

    first = provider.post("/v1/charges", asked, key)
    again = provider.post("/v1/charges", asked, key)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(provider.charges_of(asked["reference"])) == 1


def test_a_key_belongs_to_one_request(provider: ProviderProcess) -> None:
    asked, key = a_charge(), str(uuid4())
    charge = provider.post("/v1/charges", asked, key).json()

    other_body = provider.post("/v1/charges", asked | {"amount": 1}, key)
    other_route = provider.post(f"/v1/charges/{charge['id']}/refund", {"amount": 1999}, key)

    for answer in (other_body, other_route):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert provider.get(charge)["refunded_amount"] == 0


def test_the_same_request_sent_20_times_at_once_charges_once(provider: ProviderProcess) -> None:
    asked, key = a_charge(), str(uuid4())

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: provider.post("/v1/charges", asked, key), range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert provider.balances(asked["reference"]) == {"customer": -1999, "merchant": 1999}


def test_what_is_not_captured_goes_back_to_the_customer(provider: ProviderProcess) -> None:
    charge = provider.charge(capture=False)
    assert charge["status"] == "authorized"
    assert provider.balances(charge["reference"]) == {"customer": -1999, "held": 1999}

    captured = provider.act(charge, "capture", amount=1500)

    assert (captured["status"], captured["captured_amount"]) == ("succeeded", 1500)
    assert provider.balances(charge["reference"]) == {"customer": -1500, "merchant": 1500}


def test_a_capture_is_refused_beyond_the_hold_and_a_second_time(provider: ProviderProcess) -> None:
    charge = provider.charge(capture=False)

    assert provider.refusal(charge, "capture", amount=2000) == "capture_exceeds_authorized"
    provider.act(charge, "capture", amount=1999)
    assert provider.refusal(charge, "capture", amount=1) == "not_authorized"


@pytest.mark.parametrize("capture", [True, False])
def test_a_capture_that_fails_gives_the_hold_back(
    provider: ProviderProcess, *, capture: bool
) -> None:
    charge = provider.charge("tok_capture_fails", capture=capture)
    if not capture:
        charge = provider.act(charge, "capture", amount=1999)

    assert (charge["status"], charge["failure_code"]) == ("failed", "capture_failed")
    assert provider.balances(charge["reference"]) == {}


def test_cancelling_an_authorized_charge_gives_the_hold_back(provider: ProviderProcess) -> None:
    charge = provider.charge(capture=False)

    assert provider.act(charge, "cancel")["status"] == "voided"
    assert provider.act(charge, "cancel")["status"] == "voided"
    assert provider.refusal(charge, "capture", amount=1999) == "not_authorized"
    assert provider.balances(charge["reference"]) == {}


def test_cancelling_what_was_captured_says_so(provider: ProviderProcess) -> None:
    charge = provider.charge()

    assert provider.act(charge, "cancel") == charge


def test_a_customer_who_confirms_while_the_shop_cancels_has_paid(
    provider: ProviderProcess,
) -> None:
    charge = provider.charge("tok_late_capture")
    assert charge["status"] == "requires_action"

    cancelled = provider.act(charge, "cancel")

    assert (cancelled["status"], cancelled["captured_amount"]) == ("succeeded", 1999)
    assert provider.balances(charge["reference"]) == {"customer": -1999, "merchant": 1999}


def test_a_refund_never_exceeds_what_was_captured(provider: ProviderProcess) -> None:
    charge = provider.charge()

    refunded = provider.act(charge, "refund", amount=1500, reference="return-1")
    assert refunded["refund"] | {"id": None} == {
        "id": None,
        "amount": 1500,
        "status": "succeeded",
        "failure_code": None,
        "reference": "return-1",
    }
    assert provider.refusal(charge, "refund", amount=500) == "refund_exceeds_captured"
    provider.act(charge, "refund", amount=499)
    assert provider.get(charge)["refunded_amount"] == 1999
    assert provider.balances(charge["reference"]) == {}


def test_of_rival_refunds_of_everything_one_wins(provider: ProviderProcess) -> None:
    charge = provider.charge()

    with ThreadPoolExecutor(8) as pool:
        path = f"/v1/charges/{charge['id']}/refund"
        answers = list(pool.map(lambda _: provider.post(path, {"amount": 1999}), range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert provider.balances(charge["reference"]) == {}


def test_a_refund_that_failed_works_under_a_new_key(provider: ProviderProcess) -> None:
    charge = provider.charge("tok_refund_fails_once")

    failed = provider.act(charge, "refund", amount=1999)
    assert (failed["refund"]["status"], failed["refunded_amount"]) == ("failed", 0)
    assert provider.act(charge, "refund", amount=1999)["refund"]["status"] == "succeeded"
    assert provider.balances(charge["reference"]) == {}


def test_nothing_is_refunded_that_was_not_captured(provider: ProviderProcess) -> None:
    charge = provider.charge("tok_declined")

    assert provider.refusal(charge, "refund", amount=1) == "not_captured"


def test_a_refusal_too_is_the_answer_for_good(provider: ProviderProcess) -> None:
    charge, key = provider.charge(capture=False), str(uuid4())
    path = f"/v1/charges/{charge['id']}/refund"

    refused = provider.post(path, {"amount": 1999}, key)
    provider.act(charge, "capture", amount=1999)
    again = provider.post(path, {"amount": 1999}, key)

    assert (refused.status_code, again.status_code) == (409, 409)
    assert again.content == refused.content
    assert again.headers["content-type"] == "application/problem+json"


def test_a_bank_transfer_of_another_amount_is_taken_as_it_came(provider: ProviderProcess) -> None:
    charge = provider.charge(method="bank_transfer")
    assert (charge["status"], charge["next_action"]["type"]) == ("pending", "bank_transfer")

    arrived = provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1000}).json()

    assert (arrived["status"], arrived["captured_amount"]) == ("succeeded", 1000)
    assert provider.balances(charge["reference"]) == {"customer": -1000, "merchant": 1000}
    again = provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 999})
    assert (again.status_code, again.json()["code"]) == (409, "transfer_not_expected")


def test_a_bank_transfer_may_come_after_the_charge_was_given_up(provider: ProviderProcess) -> None:
    charge = provider.charge(method="bank_transfer")
    assert provider.act(charge, "cancel")["status"] == "voided"

    provider.post(f"/sandbox/transfers/{charge['id']}", {"amount": 1999})

    assert provider.get(charge)["status"] == "succeeded"
    refunded = provider.act(charge, "refund", amount=1999)
    assert refunded["refunded_amount"] == 1999


def test_a_saved_method_is_charged_as_its_token_until_it_is_deleted(
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


def test_paypal_asks_its_customer_unless_the_account_was_saved(provider: ProviderProcess) -> None:
    saved = provider.post("/v1/payment-methods", {"type": "paypal", "token": "tok_ok"}).json()

    first = provider.charge(method="paypal")
    later = provider.charge(saved["id"], method="paypal")

    assert (first["status"], later["status"]) == ("requires_action", "succeeded")
    assert saved["paypal_email"] == later["paypal_email"] == "buyer@example.com"
    assert later["card"] is None
