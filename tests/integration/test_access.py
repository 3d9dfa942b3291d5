"""Nobody sees or changes what is not theirs: tokens, roles and owners, over everything the document names."""

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

from chassis.testing import PLAIN
from hostile import Document, Operation, encoded, faults_of
from invariants import SERVICES, Books
from shopfloor import Buyer, Staff, key, ok
from suite.environment import TOKEN_AUDIENCE, TOKEN_ISSUER
from suite.instance import Instance

AT_ONCE = 16
FOR_STAFF, FOR_USERS = "/v1/admin/", "/v1/me"


@pytest_asyncio.fixture
async def document(http: httpx.AsyncClient, staff: Staff) -> Document:
    """Everything there is to reach."""
    return Document(ok(await http.get("/docs/openapi.json")))


async def answers(
    http: httpx.AsyncClient,
    document: Document,
    chosen: Iterable[Operation],
    headers: dict[str, str],
) -> list[tuple[Operation, httpx.Response]]:
    """Ask every chosen operation with a sound body and these headers."""

    at_once = asyncio.Semaphore(AT_ONCE)

    async def ask(operation: Operation) -> tuple[Operation, httpx.Response]:
        content = encoded(document.sample(operation.schema)) if operation.schema else None
        sent = {**key(), "Content-Type": "application/json", "If-Match": '"1"', **headers}
        async with at_once:
            url = operation.url({"code": "US", "provider": "sandbox"})
            return operation, await http.request(
                operation.method, url, headers=sent, content=content
            )

    return await asyncio.gather(*(ask(operation) for operation in chosen))


def others(told: list[tuple[Operation, httpx.Response]], status: int) -> list[str]:
    """The answers that are of another status, or no problem documents."""
    found = [
        f"{operation}: {answer.status_code} {answer.text[:200]}"
        for operation, answer in told
        if answer.status_code != status
    ]
    return found + [
        fault for operation, answer in told for fault in faults_of(answer, str(operation))
    ]


async def customer(http: httpx.AsyncClient, staff: Staff) -> Buyer:
    """Somebody with an account of their own."""
    buyer = Buyer(http, staff)
    await buyer.sign_up()
    return buyer


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
        self.key = serialization.load_pem_private_key(
            instance.environment.secrets.signing_key_file.read_bytes(), None
        )
        self.kid = jwt.get_unverified_header(honest)["kid"]
        self.claims = jwt.decode(honest, options={"verify_signature": False})
        self.honest = honest

    def token(self, signing_key: Any = None, algorithm: str = "ES256", **changes: Any) -> str:
        """A token with some claims changed (None: left out)."""
        claims = {k: v for k, v in {**self.claims, **changes}.items() if v is not None}
        signing = None if algorithm == "none" else signing_key or self.key
        return jwt.encode(claims, signing, algorithm=algorithm, headers={"kid": self.kid})

    def all(self) -> dict[str, str]:
        """Every kind of bad token by what is wrong with it."""
        header, payload, signature = self.honest.split(".")
        public = self.key.public_key().public_bytes(  # type: ignore[union-attr]
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


async def test_an_expired_or_forged_token_opens_nothing(
    http: httpx.AsyncClient, staff: Staff, instance: Instance, document: Document
) -> None:
    bad = Forger(instance, staff.token).all()
    for kind in ("expired", "of another key"):
        headers = {"Authorization": f"Bearer {bad[kind]}"}
        assert others(await answers(http, document, document.operations, headers), 401) == []
    for kind, token in bad.items():
        answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, f"{kind}: {answer.text}"


async def test_services_check_tokens_themselves(
    staff: Staff, instance: Instance, document: Document
) -> None:
    bad = Forger(instance, staff.token).all()
    for service in SERVICES:
        async with httpx.AsyncClient(base_url=instance.url(service), verify=PLAIN) as alone:
            own = Document((await alone.get("/openapi.json")).json())
            protected = [o for o in own.operations if o.path.startswith((FOR_STAFF, FOR_USERS))]
            for kind, token in bad.items():
                headers = {"Authorization": f"Bearer {token}"}
                told = await answers(alone, own, protected[:1], headers)
                assert others(told, 401) == [], kind
            # Nobody names themselves: who is asking is what the token says.
            named = {"X-User-Id": str(uuid.uuid4()), "X-Principal": "admin", "X-Roles": "admin"}
            assert others(await answers(alone, own, protected[:1], named), 401) == []
            internal = [o for o in own.operations if o.path.startswith("/internal/")]
            asked = [o for o in internal if o.path != "/internal/token"]
            told = await answers(alone, own, asked, staff.headers)
            assert others(told, 401) == []


async def test_staff_routes_are_for_staff_and_own_routes_for_users(
    http: httpx.AsyncClient, staff: Staff, document: Document
) -> None:
    for_staff = [o for o in document.operations if o.path.startswith(FOR_STAFF)]
    for_users = [o for o in document.operations if o.path.startswith(FOR_USERS)]
    assert for_staff
    assert for_users
    someone = await customer(http, staff)
    assert others(await answers(http, document, for_staff, someone.headers), 403) == []
    assert others(await answers(http, document, [*for_staff, *for_users], {}), 401) == []


async def test_what_belongs_to_one_is_not_there_for_another(
    http: httpx.AsyncClient, staff: Staff, at_rest: Books
) -> None:
    product = await staff.sell(stock=10)
    owner, other = await customer(http, staff), await customer(http, staff)
    guest, stranger = Buyer(http, staff), Buyer(http, staff)
    stranger_order = await stranger.buys(product)
    owners = [(owner, await owner.buys(product)), (guest, await guest.buys(product))]
    await staff.ended(stranger_order["id"])
    nobody = Buyer(http, staff)

    for whose, order in owners:
        await staff.ended(order["id"])
        payment = await whose.payment(order["id"])
        query = {"order_id": order["id"]}
        (parcel,) = ok(await http.get("/v1/shipments", params=query, headers=whose.headers))[
            "items"
        ]
        urls = [
            f"/v1/orders/{order['id']}",
            f"/v1/orders/{order['id']}/history",
            f"/v1/orders/{order['id']}/progress",
            f"/v1/carts/{whose.cart_id}",
            f"/v1/payments/{payment['id']}",
            f"/v1/shipments/{parcel['id']}",
        ]
        for foreign in (other, stranger, nobody):
            for url in urls:
                answer = await http.get(url, headers=foreign.headers)
                # Who shows nothing at all is told that something must be shown.
                refusals = (401, 404) if foreign is nobody else (404,)
                assert answer.status_code in refusals, f"{url}: {answer.text}"
                assert faults_of(answer, url) == []
            for url in ("/v1/payments", "/v1/shipments"):
                answer = await http.get(url, params=query, headers=foreign.headers)
                seen = answer.json().get("items", []) if answer.is_success else []
                assert seen == []
            refused = await foreign.cancel(order["id"])
            assert refused.status_code in (401, 404), refused.text
            assert (await whose.read(order["id"]))["status"] == "confirmed"

    lists = ok(await http.get("/v1/orders", headers=other.headers))
    assert lists["items"] == []
