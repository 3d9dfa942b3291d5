"""Requests that the provider refuses, without a server error and without echoing them."""

import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest

from sandbox_provider.card_numbers import body_contains_card_number
from testkit.payment_provider import ProviderProcess, a_charge

CARD_NUMBER = "4242424242424242"
NO_UNICODE = json.dumps(a_charge(reference="\ud800")).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"reference": CARD_NUMBER},
        {"token": "4242 4242 4242 4242"},
        {"metadata": {"note": "card 4242-4242-4242-4242 please"}},
        {"metadata": {CARD_NUMBER: "x"}},
        {"amount": int(CARD_NUMBER)},
        {"number": CARD_NUMBER},
    ],
)
def test_a_card_number_is_refused_in_any_field(
    provider: ProviderProcess, change: dict[str, Any]
) -> None:
    answer = provider.post("/v1/charges", a_charge() | change)

    assert (answer.status_code, answer.json()["code"]) == (400, "card_number")
    for text in (answer.text, provider.log()):
        assert CARD_NUMBER not in text
        assert "4242 4242" not in text
        assert "4242-4242" not in text


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (rb'"\u0034242424242424242"', True),
        (b'"378282246310005"', True),
        (b'"4242424242424242 2032"', True),
        ("\uff14242424242424242".encode(), True),
        (b'"4242424242424241"', False),
        (b'"424242424242"', False),
        (b'"01234567-1234-7123-8123-424242424242"', False),
        (b'"a2424242424242424242424242424242"', False),
        (b'{"amount": 1999, "reference": "2026-000123"}', False),
    ],
)
def test_a_card_number_is_distinguished_from_an_identifier(body: bytes, *, found: bool) -> None:
    assert body_contains_card_number(body) is found


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**12},
        {"amount": "1999"},
        {"amount": 19.99},
        {"amount": True},
        {"currency": "usd"},
        {"method": "cash"},
        {"reference": ""},
        {"reference": "a\x00b"},
        {"reference": "x" * 101},
        {"return_url": "javascript:alert(1)"},
        {"return_url": "https://"},
        {"metadata": {"a": 1}},
        {"metadata": {str(n): "x" for n in range(21)}},
        {"capture": "yes"},
        {"colour": "red"},
    ],
)
def test_a_malformed_charge_is_refused(provider: ProviderProcess, change: dict[str, Any]) -> None:
    answer = provider.post("/v1/charges", a_charge() | change)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"NaN",
        b'{"amount": NaN}',
        b"[" * 30_000,
        NO_UNICODE,
    ],
)
def test_a_body_that_is_not_a_charge_is_refused(provider: ProviderProcess, body: bytes) -> None:
    headers = {"Idempotency-Key": "some-key", "Content-Type": "application/json"}

    answer = provider.client.post("/v1/charges", content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_huge_body_is_refused_before_it_is_parsed(provider: ProviderProcess) -> None:
    answer = provider.post("/v1/charges", {"reference": "x" * 100_000})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_post_needs_a_key(provider: ProviderProcess, key: str) -> None:
    answer = provider.client.post("/v1/charges", json=a_charge(), headers={"Idempotency-Key": key})

    assert answer.status_code == 400
    assert answer.json()["code"].startswith("idempotency_key_")


@pytest.mark.parametrize("path", ["/v1/charges?reference=x", "/v1/ledger", "/v1/charges/ch_b"])
def test_reading_needs_the_api_key(provider: ProviderProcess, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer sk_wrong"}, {"Authorization": "Basic e"}):
        answer = httpx.get(provider.url + path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "api_key_invalid")


@pytest.mark.parametrize("name", ["ch_none", "%00", "x" * 300, "../ledger", "ch_%F0%9F"])
def test_an_unknown_charge_is_404(provider: ProviderProcess, name: str) -> None:
    assert provider.client.get(f"/v1/charges/{name}/none").status_code == 404
    assert httpx.get(f"{provider.url}/pay/{name}/none").status_code == 404
    assert provider.client.get(f"/v1/charges/{name}").status_code in (401, 404) or ".." in name


@pytest.mark.parametrize("query", ["after=-1", "after=x", f"after={2**63}", "reference=%00"])
def test_a_malformed_query_is_refused(provider: ProviderProcess, query: str) -> None:
    answer = provider.client.get(f"/v1/ledger?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_missing_setting_stops_the_start_with_its_name_and_an_example() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}

    run = subprocess.run(
        [sys.executable, "-m", "sandbox_provider"],
        env=environment | {"DATABASE_URL": "mysql://"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 2
    assert "API_KEY: Field required (for example" in run.stderr
    assert "DATABASE_URL: String should match" in run.stderr
    assert "Traceback" not in run.stderr
