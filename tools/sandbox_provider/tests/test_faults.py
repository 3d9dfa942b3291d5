"""Answers that go wrong after the money has moved, and the repeat that learns of it."""

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sandbox_provider.testing import ProviderProcess, Receiver, a_charge


def repeat(provider: ProviderProcess, asked: dict[str, Any], key: str) -> dict[str, Any]:
    """Send the request again; it must answer well within the time a client would wait."""
    began = time.monotonic()
    answer = provider.post("/v1/charges", asked, key)
    assert answer.status_code == 201
    assert time.monotonic() - began < 5
    charge: dict[str, Any] = answer.json()
    return charge


def assert_charged_once(provider: ProviderProcess, charge: dict[str, Any]) -> None:
    assert charge["status"] == "succeeded"
    assert [found["id"] for found in provider.charges_of(charge["reference"])] == [charge["id"]]
    assert provider.balances(charge["reference"]) == {"customer": -1999, "merchant": 1999}


def test_a_time_out_after_charging_is_healed_by_the_repeat(provider: ProviderProcess) -> None:
    asked, key = a_charge("tok_timeout_after_charge"), str(uuid4())

    with pytest.raises(httpx.ReadTimeout):
        headers = {"Idempotency-Key": key}
        provider.client.post("/v1/charges", json=asked, headers=headers, timeout=0.5)

    assert_charged_once(provider, repeat(provider, asked, key))


def test_a_dropped_connection_after_charging_is_healed_by_the_repeat(
    provider: ProviderProcess,
) -> None:
    asked, key = a_charge("tok_drop_after_charge"), str(uuid4())

    with pytest.raises(httpx.TransportError):
        provider.post("/v1/charges", asked, key)

    assert_charged_once(provider, repeat(provider, asked, key))


def test_an_error_after_charging_is_healed_by_the_repeat(provider: ProviderProcess) -> None:
    asked, key = a_charge("tok_error_after_charge"), str(uuid4())

    assert provider.post("/v1/charges", asked, key).status_code == 500

    assert_charged_once(provider, repeat(provider, asked, key))


def test_a_slow_answer_is_overtaken_by_its_webhook(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    asked = a_charge("tok_slow")

    provider.post("/v1/charges", asked)

    assert [it.event["type"] for it in receiver.of(asked["reference"])] == ["charge.succeeded"]


def test_a_pending_answer_is_settled_by_webhook(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge("tok_webhook_only")
    assert (charge["status"], charge["captured_amount"]) == ("pending", 0)

    (settled,) = receiver.wait(charge["reference"])

    assert settled.event["data"]["status"] == "succeeded"
    assert provider.get(charge)["status"] == "succeeded"
