"""Tokens of identity alone name the caller."""

import base64
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from .conftest import Gateway, StartGateway
from .upstream import AUDIENCE, ISSUER, Identity, Upstream, until


def get(gateway: Gateway, token: str | None, path: str = "/v1/orders/1") -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with gateway.client() as client:
        return client.delete(path, headers=headers)


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join([*(encoded(json.dumps(part).encode()) for part in (header, claims)), ""])


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims() -> dict[str, Any]:
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "buyer", "exp": int(time.time()) + 300}


def test_a_valid_token_is_passed_on(gateway: Gateway, identity: Identity) -> None:
    token = identity.token()
    answer = get(gateway, token)
    assert answer.status_code == 200
    assert answer.json()["headers"]["authorization"] == f"Bearer {token}"


def test_a_guest_needs_no_token(gateway: Gateway) -> None:
    assert get(gateway, None).status_code == 200


def test_a_forged_signature_is_refused(gateway: Gateway, identity: Identity) -> None:
    refused(get(gateway, Identity(key_id=identity.key_id).token()))


def test_an_unknown_key_is_refused(gateway: Gateway) -> None:
    refused(get(gateway, Identity(key_id="unknown").token()))


def test_a_changed_token_is_refused(gateway: Gateway, identity: Identity) -> None:
    header, _, signature = identity.token().split(".")
    changed = unsigned({}, claims() | {"sub": "admin"}).split(".")[1]
    refused(get(gateway, f"{header}.{changed}.{signature}"))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_without_signature_is_refused(gateway: Gateway, algorithm: str) -> None:
    refused(get(gateway, unsigned({"alg": algorithm, "kid": "first"}, claims())))


def test_the_public_key_is_no_secret_to_sign_with(gateway: Gateway, identity: Identity) -> None:
    public_key = identity.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unsigned_token = unsigned({"alg": "HS256", "kid": identity.key_id}, claims()).rstrip(".")
    signature = hmac.digest(public_key, unsigned_token.encode(), "sha256")
    refused(get(gateway, f"{unsigned_token}.{encoded(signature)}"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another-shop"},
        {"aud": None},
        {"exp": None},
        {"exp": 1},
        {"nbf": 2**33},
    ],
    ids=str,
)
def test_every_claim_must_fit(gateway: Gateway, identity: Identity, wrong: dict[str, Any]) -> None:
    refused(get(gateway, identity.token(**wrong)))


@pytest.mark.parametrize("nonsense", ["x", "a.b.c", "a.b", "....", "e30.e30.e30", "x" * 5000])
def test_nonsense_is_refused(gateway: Gateway, nonsense: str) -> None:
    refused(get(gateway, nonsense))


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEARER", "Bearer  ", "Basic", "x"])
def test_no_spelling_gets_a_token_past_the_gateway(gateway: Gateway, scheme: str) -> None:
    with gateway.client() as client:
        headers = {"Authorization": f"{scheme} {Identity().token()}"}
        refused(client.delete("/v1/orders/1", headers=headers))


def test_a_lower_case_scheme_is_as_good(gateway: Gateway, identity: Identity) -> None:
    with gateway.client() as client:
        headers = {"Authorization": f"bearer {identity.token()}"}
        assert client.delete("/v1/orders/1", headers=headers).status_code == 200


def test_a_forged_token_beside_a_valid_one_is_refused(gateway: Gateway, identity: Identity) -> None:
    tokens = [identity.token(), Identity().token()]
    for order in (tokens, tokens[::-1]):
        headers = [("Authorization", f"Bearer {token}") for token in order]
        with gateway.client() as client:
            assert client.delete("/v1/orders/1", headers=headers).status_code == 401


def test_a_clock_may_be_off_by_five_seconds_and_no_more(
    gateway: Gateway, identity: Identity
) -> None:
    token = identity.token(exp=int(time.time()) - 2)
    assert get(gateway, token).status_code == 200
    until(lambda: get(gateway, token).status_code == 401, seconds=5)


def test_a_token_in_the_query_string_counts_for_nothing(
    gateway: Gateway, identity: Identity
) -> None:
    with gateway.client() as client:
        answer = client.delete("/v1/orders/1", params={"access_token": identity.token()})
    assert answer.status_code == 200
    assert "authorization" not in answer.json()["headers"]


def test_a_new_key_is_learnt_and_the_old_one_forgotten(
    start_gateway: StartGateway, upstream: Upstream, identity: Identity
) -> None:
    quick = start_gateway(seconds={"keys": 1})
    successor = Identity(key_id="second")
    refused(get(quick, successor.token()))
    upstream.identity = successor
    try:
        until(lambda: get(quick, successor.token()).status_code == 200)
        refused(get(quick, identity.token(sub="another person")))
    finally:
        upstream.identity = identity


def test_known_keys_hold_while_identity_is_away(
    start_gateway: StartGateway, upstream: Upstream, identity: Identity
) -> None:
    quick = start_gateway(seconds={"keys": 1})
    before = upstream.key_sets_refused
    upstream.identity = None
    try:
        until(lambda: upstream.key_sets_refused >= before + 2)
        assert get(quick, identity.token(sub="not seen before")).status_code == 200
    finally:
        upstream.identity = identity


def test_without_any_keys_a_token_is_neither_good_nor_bad(
    start_gateway: StartGateway, upstream: Upstream, identity: Identity
) -> None:
    upstream.identity = None
    try:
        ignorant = start_gateway(keys=False)
        answer = get(ignorant, identity.token())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "2"
        assert get(ignorant, None).status_code == 200
    finally:
        upstream.identity = identity
    until(lambda: get(ignorant, identity.token()).status_code == 200)


def test_headers_of_the_gateway_are_not_accepted_from_clients(gateway: Gateway) -> None:
    spoofed = {
        "X-User-Id": "1",
        "x-user": "admin",
        "X-USER-Roles": "admin",
        "X-Caller": "admin",
        "X-Caller-Id": "1",
        "X-Principal": "admin",
        "X-Client-Address": "10.0.0.1",
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Client-Cert": "By=admin",
        "X-Forwarded-User": "admin",
        "X-Real-IP": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
        "X-Original-URL": "/internal/token",
        "X-Rewrite-URL": "/internal/token",
        "X-Envoy-Original-Path": "/internal/token",
        "X-Envoy-Upstream-Rq-Timeout-Ms": "1",
        "X-Envoy-Retry-On": "5xx",
        "X-Request-ID": "chosen-by-the-client",
        "x_user_id": "1",
    }
    with gateway.client() as client:
        seen = client.delete("/v1/orders/1", headers=spoofed).json()["headers"]
    assert {name for name in seen if name.startswith("x-")} == {
        "x-client-address",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
    }
    assert seen["x-client-address"] == "127.0.0.1"
    assert ("10.0.0.1" in seen["x-forwarded-for"], seen["x-forwarded-proto"]) == (False, "http")
    assert seen["x-request-id"] != "chosen-by-the-client"
    assert not {"forwarded", "x_user_id"} & set(seen)


def test_tokens_of_carts_and_orders_pass(gateway: Gateway) -> None:
    tokens = {"x-cart-token": "cart", "x-order-token": "order", "idempotency-key": "key"}
    with gateway.client() as client:
        seen = client.delete("/v1/orders/1", headers=tokens).json()["headers"]
    assert tokens.items() <= seen.items()


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (problem["code"], problem["status"]) == ("invalid_token", 401)
    assert problem["request_id"] == answer.headers["x-request-id"]
