"""The confirmation page, as a browser uses it."""

import httpx
import pytest

from testkit.payment_provider import ProviderProcess, Receiver


def test_a_confirmation_by_the_customer_sends_a_webhook(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge("tok_action", return_url="https://shop.example/orders/1?a=1&b=2")
    page = httpx.get(charge["next_action"]["url"])
    assert "19.99 USD" in page.text
    assert charge["reference"] in page.text
    assert f"/pay/{charge['id']}/decline" in page.text

    done = httpx.post(f"{charge['next_action']['url']}/confirm", follow_redirects=True)

    assert "Paid." in done.text
    assert 'href="https://shop.example/orders/1?a=1&amp;b=2"' in done.text
    (webhook,) = receiver.wait(charge["reference"])
    assert webhook.event["data"]["captured_amount"] == 1999
    assert webhook.event["data"]["next_action"] is None


def test_a_customer_can_decline(provider: ProviderProcess, receiver: Receiver) -> None:
    charge = provider.charge("tok_action")

    done = httpx.post(f"{charge['next_action']['url']}/decline", follow_redirects=True)

    assert "Declined." in done.text
    assert receiver.wait(charge["reference"])[0].event["data"]["failure_code"] == (
        "customer_declined"
    )


def test_a_confirmation_of_an_uncaptured_charge_authorizes_it(provider: ProviderProcess) -> None:
    charge = provider.charge("tok_action", capture=False)

    httpx.post(f"{charge['next_action']['url']}/confirm")

    assert provider.get(charge)["status"] == "authorized"


@pytest.mark.parametrize("step", ["confirm", "decline"])
def test_confirming_twice_or_after_a_cancellation_changes_nothing(
    provider: ProviderProcess, step: str
) -> None:
    charge = provider.charge("tok_action")
    provider.post_step(charge, "cancel")

    done = httpx.post(f"{charge['next_action']['url']}/{step}", follow_redirects=True)

    assert "Cancelled." in done.text
    assert provider.get(charge)["status"] == "voided"
    assert provider.balances(charge["reference"]) == {}


def test_a_transfer_can_be_made_on_the_page(provider: ProviderProcess) -> None:
    charge = provider.charge(method="bank_transfer", amount=1999, currency="JPY")
    assert "1,999 JPY" in httpx.get(charge["next_action"]["url"]).text

    httpx.post(f"{charge['next_action']['url']}/confirm")

    assert provider.get(charge)["status"] == "succeeded"


def test_the_merchants_text_is_escaped(provider: ProviderProcess) -> None:
    charge = provider.charge("tok_action", reference="<script>alert(1)</script>")

    page = httpx.get(charge["next_action"]["url"])

    assert "<script>" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
