"""Webhooks: signed, in order, repeated until accepted, and out of order where a token requests it."""

import base64
import hashlib
import hmac
import time

from sandbox_provider.delivery import sign
from testkit.payment_provider import WEBHOOK_SECRET, ProviderProcess, Received, Receiver


def types(received: list[Received]) -> list[str]:
    return [webhook.event["type"] for webhook in received]


def test_a_webhook_is_signed_and_shows_the_charge(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge(metadata={"order": "2026-000123"})

    (webhook,) = receiver.wait(charge["reference"])

    headers, key = webhook.headers, base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + webhook.body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert webhook.event["id"] == headers["webhook-id"]
    assert webhook.event["type"] == "charge.succeeded"
    assert webhook.event["data"] == charge


def test_every_secret_signs_during_a_rotation() -> None:
    old, new = sign([b"old"], "evt_1", 1, b"{}"), sign([b"new"], "evt_1", 1, b"{}")

    assert sign([b"old", b"new"], "evt_1", 1, b"{}") == f"{old} {new}"
    assert old != new


def test_every_step_of_a_charge_sends_a_webhook_in_order(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge("tok_refund_fails_once", capture=False)
    provider.post_step(charge, "capture", amount=1999)
    provider.post_step(charge, "refund", amount=1000)
    provider.post_step(charge, "refund", amount=1000)

    received = receiver.wait(charge["reference"], 4)

    expected = ["charge.authorized", "charge.succeeded", "refund.failed", "refund.succeeded"]
    assert types(received) == expected
    versions = [webhook.event["data"]["version"] for webhook in received]
    assert versions == sorted(set(versions))
    assert received[-1].event["data"]["refund"]["amount"] == 1000


def test_a_failed_and_a_voided_charge_send_webhooks(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    declined = provider.charge("tok_declined")
    voided = provider.charge(capture=False)
    provider.post_step(voided, "cancel")

    assert types(receiver.wait(declined["reference"])) == ["charge.failed"]
    assert types(receiver.wait(voided["reference"], 2)) == ["charge.authorized", "charge.voided"]


def test_a_refused_webhook_is_repeated_before_the_next_one_is_sent(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge("tok_action")
    receiver.refusals[charge["reference"]] = 3
    provider.client.post(f"/pay/{charge['id']}/confirm")
    provider.post_step(charge, "refund", amount=1999)

    received = receiver.wait(charge["reference"], 5)

    assert types(received) == ["charge.succeeded"] * 4 + ["refund.succeeded"]
    assert len({webhook.event["id"] for webhook in received[:4]}) == 1


def test_a_duplicated_webhook_is_sent_five_times_with_one_id(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge("tok_duplicate_webhooks")

    received = receiver.wait(charge["reference"], 5)

    assert len({webhook.headers["webhook-id"] for webhook in received}) == 1


def test_a_late_webhook_arrives_after_the_response(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    began = time.monotonic()
    charge = provider.charge("tok_late_webhook")
    assert receiver.of(charge["reference"]) == []

    receiver.wait(charge["reference"])

    assert time.monotonic() - began >= 0.7


def test_reversed_webhooks_send_the_final_status_first(
    provider: ProviderProcess, receiver: Receiver
) -> None:
    charge = provider.charge("tok_reversed_webhooks")

    received = receiver.wait(charge["reference"], 2)

    assert types(received) == ["charge.succeeded", "charge.authorized"]
    versions = [webhook.event["data"]["version"] for webhook in received]
    assert versions[0] > versions[1]
