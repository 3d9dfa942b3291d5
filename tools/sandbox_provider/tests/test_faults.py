"""Responses that fail after the money has moved, and the repeat that returns the charge."""

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from testkit.payment_provider import ProviderProcess, Receiver, a_charge


def repeat(provider: ProviderProcess, request_body: dict[str, Any], key: str) -> dict[str, Any]:
    """Send the request again; the response must arrive well within a client's timeout."""
    began = time.monotonic()
    answer = provider.post("/v1/charges", request_body, key)
    assert answer.status_code == 201
    assert time.monotonic() - began < 5
    charge: dict[str, Any] = answer.json()
    return charge


def assert_charged_once(provider: ProviderProcess, charge: dict[str, Any]) -> None:
    assert charge["status"] == "succeeded"
    assert [found["id"] for found in provider.charges_of(charge["reference"])] == [charge["id"]]
    assert provider.balances(charge["reference"]) == {"customer": -1999, "merchant": 1999}


def test_a_repeat_after_a_timeout_returns_the_charge(provider: ProviderProcess) -> None:
    request_body, key = a_charge("tok_timeout_after_charge"), str(uuid4())

    with pytest.raises(httpx.ReadTimeout):
        headers = {"Idempotency-Key": key}
        provider.client.post("/v1/charges", json=request_body, headers=headers, timeout=0.5)

    assert_charged_once(provider, repeat(provider, request_body, key))


def test_a_repeat_after_a_dropped_connection_returns_the_charge(
    provider: ProviderProcess,
) -> None:
    request_body, key = a_charge("tok_drop_after_charge"), str(uuid4())

    with pytest.raises(httpx.TransportError):
        provider.post("/v1/charges", request_body, key)

    assert_charged_once(provider, repeat(provider, request_body, key))


def test_a_repeat_after_an_error_returns_the_charge(provider: ProviderProcess) -> None:
    request_body, key = a_charge("tok_error_after_charge"), str(uuid4())

    assert provider.post("/v1/charges", request_body, key).status_code == 500

    assert_charged_once(provider, repeat(provider, request_body, key))


def test_a_slow_response_arrives_after_its_webhook(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    request_body = a_charge("tok_slow")

    provider.post("/v1/charges", request_body)

    assert [it.event["type"] for it in receiver.of(request_body["reference"])] == [
        "charge.succeeded"
    ]


def test_a_webhook_settles_a_pending_charge(provider: ProviderProcess, receiver: Receiver) -> None:
    charge = provider.charge("tok_webhook_only")
    assert (charge["status"], charge["captured_amount"]) == ("pending", 0)

    (settled,) = receiver.wait(charge["reference"])

    assert settled.event["data"]["status"] == "succeeded"
    assert provider.get(charge)["status"] == "succeeded"
