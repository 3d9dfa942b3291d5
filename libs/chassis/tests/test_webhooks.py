"""Signed webhooks, against the example that Standard Webhooks publishes and everything near it."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from chassis.webhooks import BadSignature, key_of, verify

# The example of the specification's reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
NOW = 1614265330.0
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
KEYS = [key_of(SECRET)]


def test_the_published_example_is_believed_and_gives_its_id() -> None:
    assert verify(KEYS, HEADERS, BODY, NOW) == HEADERS["webhook-id"]


def test_while_a_secret_is_rotated_either_key_and_either_signature_will_do() -> None:
    both = HEADERS | {"webhook-signature": f"v1a,x v1,AAAA {HEADERS['webhook-signature']}"}
    assert verify([b"another", *KEYS], both, BODY, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "another"},
        {"webhook-id": ""},
        {"webhook-id": "e" * 101},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "٣"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1,not base64!"},
        {"webhook-signature": HEADERS["webhook-signature"].replace("v1", "v2")},
    ],
)
def test_whatever_was_changed_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify(KEYS, HEADERS | changed, BODY, NOW)


def test_another_body_another_key_or_no_key_is_refused() -> None:
    wrong: list[tuple[list[bytes], bytes]] = [(KEYS, BODY + b" "), ([b"another"], BODY), ([], BODY)]
    for keys, body in wrong:
        with pytest.raises(BadSignature):
            verify(keys, HEADERS, body, NOW)


@pytest.mark.parametrize("late", [-301.0, 301.0])
def test_old_and_early_webhooks_are_refused_though_rightly_signed(late: float) -> None:
    with pytest.raises(BadSignature, match="too old or in the future"):
        verify(KEYS, HEADERS, BODY, NOW + late)
    assert verify(KEYS, HEADERS, BODY, NOW + late, tolerance=302)


def test_a_secret_is_plain_text_or_base64_after_its_prefix() -> None:
    assert key_of("a plain secret") == b"a plain secret"
    assert key_of("whsec_" + base64.b64encode(b"bytes").decode()) == b"bytes"
    with pytest.raises(ValueError, match="base64"):
        key_of("whsec_%%%")


def test_the_signature_is_an_hmac_of_id_time_and_body() -> None:
    signed: Any = hmac.new(KEYS[0], b"x.1." + BODY, hashlib.sha256)
    value = "v1," + base64.b64encode(signed.digest()).decode()
    headers = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": value}
    assert verify(KEYS, headers, BODY, 1.0) == "x"
