"""Whatever the API document names gets what no honest client sends: always a clear refusal, never a fault."""

import asyncio
import math
import os
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pytest_asyncio

from fast_client import FastClient
from hostile import (
    MALFORMED_IDS,
    PARAMETERS,
    WHOLE_BODIES,
    Document,
    Operation,
    cursors,
    encoded,
    faults_of,
)
from invariants import InvariantChecker
from shopfloor import Buyer, Staff, key, ok
from suite.instance import Instance

AT_ONCE = 16
SECONDS = 60.0
# Where a version is honoured when it is sent and never demanded, or demanded only of what exists.
LOGOUT = "/v1/auth/logout"
FREE_OF_VERSIONS = ("/v1/carts", "/v1/admin/stock/")


# How much is sent of what differs in a value alone; HOSTILE=all sends everything.
SHARE = 1.0 if os.environ.get("HOSTILE") == "all" else 1 / 3
DRAW = random.Random(0)
Way = TypeVar("Way")


def some(ways: Iterable[Way]) -> list[Way]:
    """A drawn part of the ways to spoil one thing: over all operations each is taken many times."""
    known = list(ways)
    return DRAW.sample(known, math.ceil(len(known) * SHARE))


@dataclass
class Attack:
    """Sends hostile requests, many at once, and collects what is wrong with their answers.

    hostile: the client of what is sent by the thousand. http: the client of single requests.
    """

    hostile: FastClient
    http: httpx.AsyncClient
    document: Document
    known: dict[str, str]
    staff: Staff
    faults: list[str] = field(default_factory=list)
    sent: int = 0
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def send(
        self, operation: Operation, what: str, *, refused: bool = False, url: str = "", **more: Any
    ) -> httpx.Response:
        """One request; what is wrong with its answer is noted."""
        headers = {**key(), "Content-Type": "application/json", "If-Match": '"1"'}
        # A logout that succeeds would end the session that all other requests are sent with.
        own = {} if operation.path == LOGOUT else self.staff.headers
        headers |= more.pop("headers", own)
        url = url or operation.url(self.known)
        async with self.at_once:
            answer = await self.hostile.request(operation.method, url, headers=headers, **more)
        self.sent += 1
        self.faults += faults_of(answer, f"{operation}, {what}", refused=refused)
        return answer

    async def all(self, requests: Iterable[Any]) -> None:
        """Every request, and no fault among the answers.

        They go in a drawn order, so that all services work on them and not one after the other.
        """
        drawn = list(requests)
        random.Random(0).shuffle(drawn)
        await asyncio.gather(*drawn)
        assert not self.faults, "\n".join([f"{len(self.faults)} faults", *self.faults[:50]])


async def beside_the_shop(staff: Staff) -> Staff:
    """Staff with a category and warehouses of their own: no other test sells from these."""
    own = secrets.token_hex(4)
    made = Staff(staff.http, staff.token)
    category = {"name": f"Invalid {own}", "slug": f"invalid-{own}"}
    made.category_id = (await staff.post("/v1/admin/categories", category))["id"]
    for code in (f"S{own}", f"T{own}"):
        body = {"code": code.upper(), "name": f"House {code}", "priority": 99}
        made.warehouses.append((await staff.post("/v1/admin/warehouses", body))["id"])
    return made


@pytest_asyncio.fixture
async def attack(
    instance: Instance, http: httpx.AsyncClient, staff: Staff, at_rest: InvariantChecker
) -> AsyncIterator[Attack]:
    """Everything there is to attack, with resources of its own that may be damaged."""
    document = Document(ok(await http.get("/docs/openapi.json")))
    spoiled = await beside_the_shop(staff)
    product = await spoiled.sell(stock=1)
    coupon = await staff.post(
        "/v1/admin/coupons",
        {"code": f"H{uuid.uuid4().hex[:8]}".upper(), "discount_type": "percentage", "value": 1000},
    )
    buyer = Buyer(http, staff)
    await buyer.fill((product, 1))
    known = {
        "category_id": spoiled.category_id,
        "product_id": product.id,
        "variant_id": product.variant_id,
        "id_or_slug": product.id,
        "warehouse_id": spoiled.warehouses[1],
        "coupon_id": coupon["id"],
        "cart_id": buyer.cart_id,
        "provider": "sandbox",
        "code": "US",
    }
    async with FastClient(instance.url("gateway"), SECONDS, AT_ONCE) as hostile:
        yield Attack(hostile, http, document, known, staff)
    # The shop must go on selling what it sold before.
    sound = await staff.sell(stock=1)
    assert (await Buyer(http, staff).buys(sound))["status"] == "confirmed"


async def test_every_body_with_an_invalid_field_is_refused(attack: Attack) -> None:
    def requests() -> Iterable[Any]:
        for operation in attack.document.operations:
            if operation.schema is not None:
                for what, body, refused in some(attack.document.invalid(operation.schema)):
                    yield attack.send(operation, what, refused=refused, content=encoded(body))

    await attack.all(requests())
    assert attack.sent > 1000


async def test_every_body_is_refused_when_it_is_none(attack: Attack) -> None:
    def requests() -> Iterable[Any]:
        for operation in attack.document.operations:
            if operation.schema is None:
                continue
            sample = attack.document.sample(operation.schema)
            for what, content in WHOLE_BODIES.items():
                yield attack.send(operation, what, refused=True, content=content)
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
                headers = {**attack.staff.headers, "Content-Type": kind}
                yield wrong_type(attack, operation, headers, encoded(sample))

    await attack.all(requests())


async def wrong_type(
    attack: Attack, operation: Operation, headers: dict[str, str], body: bytes
) -> None:
    """A sound body under another content type is 415."""
    answer = await attack.send(operation, "of another type", headers=headers, content=body)
    if answer.status_code != 415:
        attack.faults.append(f"{operation} took {headers['Content-Type']}: {answer.status_code}")


async def test_every_parameter_and_path_may_be_nonsense(attack: Attack) -> None:
    def requests() -> Iterable[Any]:
        for operation in attack.document.operations:
            body = encoded(attack.document.sample(operation.schema)) if operation.schema else None
            for name in operation.named("query"):
                for value in some(PARAMETERS):
                    refused = name == "limit"
                    yield attack.send(
                        operation, f"{name}={value!r}", refused=refused, params={name: value}
                    )
            for name in operation.named("path"):
                for value in MALFORMED_IDS:
                    url = operation.url({**attack.known, name: value})
                    yield attack.send(operation, value, refused=True, url=url, content=body)

    await attack.all(requests())


async def test_every_list_refuses_a_cursor_that_no_list_gave_out(attack: Attack) -> None:
    lists = [each for each in attack.document.operations if "cursor" in each.named("query")]
    # One for each service at the least, beside the operator's lists of each.
    assert len(lists) > 30

    def requests() -> Iterable[Any]:
        for operation in lists:
            for cursor, refused in some(cursors()):
                yield attack.send(
                    operation, f"cursor={cursor}", refused=refused, params={"cursor": cursor}
                )

    await attack.all(requests())


async def test_an_unknown_id_is_not_found(attack: Attack) -> None:
    async def found(operation: Operation) -> None:
        url = operation.url({})
        answer = await attack.send(operation, "of an unknown id", refused=True, url=url)
        of_another_form = "{code}" in operation.path and answer.status_code == 422
        if answer.status_code != 404 and not of_another_form:
            attack.faults.append(
                f"{operation} of an unknown id: {answer.status_code} {answer.text}"
            )

    reads = [o for o in attack.document.operations if o.method == "GET" and o.named("path")]
    await attack.all(found(operation) for operation in reads)


async def test_a_version_is_demanded_and_must_be_the_newest(attack: Attack) -> None:
    async def versioned(operation: Operation) -> None:
        body = encoded(attack.document.sample(operation.schema)) if operation.schema else None
        sent = {**attack.staff.headers, "Content-Type": "application/json"}
        answer = await attack.http.request(
            operation.method, operation.url(attack.known), headers=sent, content=body
        )
        attack.faults += faults_of(answer, f"{operation} without a version", refused=True)
        # The body is checked first, and our sample may break a rule that its schema does not define.
        if answer.status_code not in (428, 422, 404):
            attack.faults.append(f"{operation} without a version: {answer.status_code}")
        for version in ('"999999"', "garbage", '"-1"', f'"{10**40}"', "*", '"1", "2"'):
            headers = {**attack.staff.headers, "If-Match": version}
            await attack.send(operation, version, refused=True, headers=headers, content=body)

    changes = [
        o
        for o in attack.document.operations
        if "If-Match" in o.named("header") and not o.path.startswith(FREE_OF_VERSIONS)
    ]
    assert changes
    await attack.all(versioned(operation) for operation in changes)


async def test_an_endless_body_is_cut_off(attack: Attack) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 1_000_000

    try:
        answer = await attack.http.post(
            "/v1/carts", content=endless(), headers={"Content-Type": "application/json"}
        )
    except httpx.NetworkError:
        # Cut off while it was still being sent; an answer under way then may be lost with it.
        assert (await attack.http.get("/livez")).is_success
    else:
        assert answer.status_code == 413
        assert faults_of(answer, "200 MB") == []


async def test_the_gateway_leads_to_every_operation_of_the_document(attack: Attack) -> None:
    async def leads(operation: Operation) -> None:
        answer = await attack.http.request(operation.method, operation.url(attack.known))
        if answer.status_code in (404, 405) and "nothing at this path" in answer.text:
            attack.faults.append(f"{operation} is not routed")

    await attack.all(leads(operation) for operation in attack.document.operations)
