"""Every operation of the API document admits whom it declares: tokens, permissions, owners, services."""

import asyncio
import base64
import hmac
import json
import time
import uuid
from collections.abc import Iterable
from typing import Any

import httpx
import jwt
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from access import (
    INVALID_BODY,
    Attempt,
    Principal,
    another_administrator,
    attempt,
    change,
    owner_of_everything,
    people,
    refused_with,
    without_known_ids,
)
from hostile import Document, Operation, encoded, faults_of
from invariants import SERVICES, InvariantChecker
from shopfloor import Buyer, Staff, ok, until
from suite.environment import TOKEN_AUDIENCE, TOKEN_ISSUER
from suite.instance import Instance
from testkit.harness import PLAIN

AT_ONCE = 16


@pytest_asyncio.fixture
async def document(http: httpx.AsyncClient, staff: Staff) -> Document:
    """Everything there is to reach."""
    return Document(ok(await http.get("/docs/openapi.json")))


def signed_by_hand(kid: str, claims: dict[str, Any], secret: bytes) -> str:
    """A token with HMAC over any bytes, as no library would make it."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"


class Forger:
    """Makes tokens that look like identity's and are not."""

    def __init__(self, instance: Instance, honest: str) -> None:
        self.key: Any = serialization.load_pem_private_key(
            instance.environment.secrets.signing_key_file.read_bytes(), None
        )
        self.kid = jwt.get_unverified_header(honest)["kid"]
        self.claims = jwt.decode(honest, options={"verify_signature": False})
        self.honest = honest

    def token(self, signing_key: Any = None, algorithm: str = "ES256", **changes: Any) -> str:
        """A token with some claims changed (None: left out)."""
        claims = {k: v for k, v in {**self.claims, **changes}.items() if v is not None}
        signing: Any = None if algorithm == "none" else signing_key or self.key
        return jwt.encode(claims, signing, algorithm=algorithm, headers={"kid": self.kid})

    def all(self) -> dict[str, str]:
        """Every kind of bad token by what is wrong with it."""
        header, payload, signature = self.honest.split(".")
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        raised = base64.urlsafe_b64encode(
            json.dumps({**self.claims, "permissions": ["everything"]}).encode()
        )
        now = int(time.time())
        return {
            "expired": self.token(iat=now - 1200, exp=now - 600),
            "of another key": self.token(ec.generate_private_key(ec.SECP256R1())),
            "of another issuer": self.token(iss=f"{TOKEN_ISSUER}.evil"),
            "for another audience": self.token(aud=f"{TOKEN_AUDIENCE}-evil"),
            "without an end": self.token(exp=None),
            "of another kind": self.token(typ="service"),
            "unsigned": self.token(algorithm="none"),
            "signed with the public key": signed_by_hand(self.kid, self.claims, public),
            "altered": f"{header}.{raised.decode().rstrip('=')}.{signature}",
            "without its signature": f"{header}.{payload}.",
            "nonsense": "x.y.z",
        }


async def attempts(
    http: httpx.AsyncClient,
    principal: Principal,
    operations: Iterable[Operation],
    ids: dict[str, str],
) -> list[Attempt]:
    """Call operations as one principal."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def call(operation: Operation) -> Attempt:
        async with at_once:
            return await attempt(http, operation, principal, ids)

    return await asyncio.gather(*map(call, operations))


def faults(found: Iterable[Attempt]) -> list[str]:
    """What is wrong with the answers."""
    found = list(found)
    wrong = [fault for each in found if (fault := each.fault)]
    return wrong + [f for each in found for f in faults_of(each.answer, str(each.operation))]


def assert_no_faults(found: Iterable[Attempt]) -> None:
    """Fail with every fault."""
    wrong = faults(found)
    assert not wrong, "\n".join(wrong)


async def test_every_operation_admits_only_the_principals_it_declares(
    http: httpx.AsyncClient,
    instance: Instance,
    staff: Staff,
    document: Document,
    at_rest: InvariantChecker,
) -> None:
    owner = await owner_of_everything(http, staff)
    assert without_known_ids(document, owner.ids) == []
    before = await owner.view()
    for principal in await people(http, instance, staff):
        found = await attempts(http, principal, document.operations, owner.ids)
        assert_no_faults(found)
        assert await owner.view() == before, principal


async def test_no_operation_admits_a_token_that_does_not_count(
    http: httpx.AsyncClient, staff: Staff, instance: Instance, document: Document
) -> None:
    bad = Forger(instance, staff.token).all()
    for kind in ("expired", "of another key"):
        principal = refused_with(kind, bad[kind])
        assert_no_faults(await attempts(http, principal, document.operations, {}))
    service = refused_with("a service", await service_token(instance, "orders"))
    closed = [each for each in document.operations if each.security != "ignored"]
    assert_no_faults(await attempts(http, service, closed, {}))
    path, demoted = await another_administrator(instance, staff)
    await change(staff, path, "roles", {"roles": ["customer"]})
    await until(lambda: refused_everywhere(demoted))
    outdated = refused_with("a demoted administrator", demoted.token)
    assert_no_faults(await attempts(http, outdated, closed, {}))
    for kind, token in bad.items():
        answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, f"{kind}: {answer.text}"


async def refused_everywhere(person: Staff) -> bool:
    """Whether every service refuses the person's token."""
    paths = [f"/v1/admin/ops/{service}/outbox" for service in SERVICES]
    answers = [await person.http.get(path, headers=person.headers) for path in paths]
    return all(answer.status_code == 401 for answer in answers)


async def test_services_check_tokens_themselves(
    staff: Staff, instance: Instance, document: Document
) -> None:
    bad = Forger(instance, staff.token).all()
    for service in SERVICES:
        async with direct(instance, service) as alone:
            own = Document((await alone.get("/openapi.json")).json())
            protected = [o for o in own.operations if o.needs_token and o.path.startswith("/v1/")]
            # A caller's name in a header has no effect: the token identifies the caller.
            named = {"X-User-Id": str(uuid.uuid4()), "X-Principal": "admin", "X-Roles": "admin"}
            refused = [refused_with(kind, token) for kind, token in bad.items()]
            for principal in (*refused, Principal("named in headers", named, is_refused=True)):
                assert_no_faults(await attempts(alone, principal, protected[:1], {}))


async def test_internal_operations_admit_the_services_they_declare(
    staff: Staff, instance: Instance
) -> None:
    tokens = {name: await service_token(instance, name) for name in SERVICES}
    count = 0
    for service in SERVICES:
        async with direct(instance, service) as alone:
            own = Document((await alone.get("/openapi.json")).json())
            internal = [each for each in own.operations if each.path.startswith("/internal/")]
            closed = [each for each in internal if each.path != "/internal/token"]
            count += len(closed)
            for headers in ({}, staff.headers):
                person = Principal("a person", headers, is_refused=True)
                assert_no_faults(await attempts(alone, person, closed, {}))
            for name, token in tokens.items():
                for each in closed:
                    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                    content = encoded(INVALID_BODY) if each.schema else None
                    answer = await alone.request(
                        each.method, each.url({}), headers=sent, content=content
                    )
                    is_barred = answer.status_code in (401, 403)
                    is_declared = not each.callers or name in each.callers
                    assert is_barred is not is_declared, f"{name}: {each}: {answer.text}"
    assert count


async def service_token(instance: Instance, name: str) -> str:
    """A service's own token, from identity."""
    body = {"client_id": name, "client_secret": instance.environment.secrets[f"client:{name}"]}
    async with direct(instance, "identity") as identity:
        return str(ok(await identity.post("/internal/token", json=body))["access_token"])


def direct(instance: Instance, service: str) -> httpx.AsyncClient:
    """A client of a service, past the gateway."""
    return httpx.AsyncClient(base_url=instance.url(service), verify=PLAIN, timeout=40)


async def test_a_hole_in_the_matrix_is_seen(
    http: httpx.AsyncClient, staff: Staff, document: Document
) -> None:
    nowhere = httpx.Request("GET", "http://shop/")
    orders = next(each for each in document.operations if str(each) == "GET /v1/orders/{order_id}")
    roles = next(each for each in document.operations if str(each) == "POST /v1/admin/roles")
    customer = Principal("customer", {}, frozenset())
    admin = Principal("admin", {}, frozenset(roles.permissions))
    barred: dict[str, Any] = {"json": {"code": "forbidden"}, "request": nowhere}
    seen = [
        Attempt(orders, customer, True, httpx.Response(200, json={}, request=nowhere)),
        Attempt(roles, customer, False, httpx.Response(201, json={}, request=nowhere)),
        Attempt(roles, admin, False, httpx.Response(403, **barred)),
        Attempt(roles, refused_with("old", "x"), False, httpx.Response(403, **barred)),
        Attempt(roles, Principal("anonymous", {}), False, httpx.Response(404, **barred)),
        Attempt(orders, admin, True, httpx.Response(503, **barred)),
    ]
    assert all(each.fault for each in seen)
    assert Attempt(orders, customer, True, httpx.Response(404, **barred)).fault is None


async def test_lists_show_their_owners_things_alone(
    http: httpx.AsyncClient, staff: Staff, at_rest: InvariantChecker
) -> None:
    owner, other = Buyer(http, staff), Buyer(http, staff)
    await other.sign_up()
    guest = Buyer(http, staff)
    order = await owner.buys(await staff.sell(stock=3))
    await guest.fill((await staff.sell(stock=3), 1))
    await staff.ended(order["id"])
    query = {"order_id": order["id"]}
    for foreign in (other, guest, Buyer(http, staff)):
        for url in ("/v1/payments", "/v1/shipments"):
            answer = await http.get(url, params=query, headers=foreign.headers)
            assert (answer.json().get("items", []) if answer.is_success else []) == []
    assert ok(await http.get("/v1/orders", headers=other.headers))["items"] == []
    assert (await other.cancel(order["id"])).status_code == 404
