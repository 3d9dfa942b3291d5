"""The access matrix: who may call which operation, derived from the API document alone.

A route enters the matrix by being in the document. Its row follows from what the document declares:
`security` (a token is required, optional or ignored), `x-permissions`, and its parameters, for which
`Owner.ids` holds ids of resources that another principal owns.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from hostile import Document, Operation, encoded
from mailboxes import Mailbox
from shopfloor import Buyer, Staff, key, ok, sign_in, until
from suite.instance import Instance
from suite.shop.sample import ADDRESS

# Names of public things: knowing them gives nothing away.
PUBLIC_IDS = {"code": "US", "provider": "sandbox"}
PUBLIC_PARAMETERS = {*PUBLIC_IDS, "id_or_slug", "name"}
# The permission also reads every customer's resources on the customers' routes, and changes none.
SEES_ALL = {
    "/v1/orders": "orders:read",
    "/v1/payments": "payments:read",
    "/v1/shipments": "shipping:read",
}
# Operations with credentials of their own: a subscriber's token, a provider's signature.
OWN_CREDENTIALS = ("/v1/events", "/v1/webhooks/")
INVALID_BODY = {"a field that no operation has": True}
ROLES = ("customer", "seller", "support", "staff", "admin")


@dataclass(frozen=True)
class Principal:
    """A caller: its headers, and what they stand for.

    is_refused: the token is no access token that counts. permissions: None for a guest.
    """

    name: str
    headers: dict[str, str] = field(repr=False)
    permissions: frozenset[str] | None = None
    is_refused: bool = False

    def sees_all(self, operation: Operation) -> bool:
        """Whether a permission opens all resources of this operation."""
        needed = next((p for path, p in SEES_ALL.items() if operation.path.startswith(path)), None)
        is_held = self.permissions is not None and needed in self.permissions
        return operation.method == "GET" and is_held


def refused_with(name: str, token: str) -> Principal:
    """A principal with a token that must not be accepted."""
    return Principal(name, {"Authorization": f"Bearer {token}"}, is_refused=True)


@dataclass
class Owner:
    """A customer with one of everything; `ids` by the name of the parameter or field."""

    buyer: Buyer
    ids: dict[str, str]
    urls: tuple[str, ...]

    async def view(self) -> dict[str, Any]:
        """Everything of the owner, as the owner reads it."""
        http, headers = self.buyer.http, self.buyer.headers
        return {url: ok(await http.get(url, headers=headers)) for url in self.urls}


async def owner_of_everything(http: httpx.AsyncClient, staff: Staff) -> Owner:
    """Make a customer with an order, a second cart, an address, a method and a notification."""
    product = await staff.sell(stock=10)
    buyer = Buyer(http, staff)
    await buyer.sign_up()
    headers = buyer.headers
    order = await buyer.buys(product)
    await staff.ended(order["id"])
    await buyer.fill((product, 1))

    async def listed(url: str, **query: str) -> Any:
        found = await http.get(url, params=query, headers=headers)
        return ok(found)["items"]

    async def first(url: str, **query: str) -> str:
        items = await until(lambda: listed(url, **query))
        return str(items[0]["id"])

    body = {**ADDRESS, "type": "shipping"}
    address = ok(await http.post("/v1/me/addresses", json=body, headers=headers))
    body = {"type": "card", "token": "tok_ok"}
    method = ok(await http.post("/v1/me/payment-methods", json=body, headers=headers))
    cart = ok(await http.get("/v1/carts/current", headers=headers))
    payment = await buyer.payment(order["id"])
    ids = {
        "order_id": order["id"],
        "cart_id": cart["id"],
        "item_id": cart["items"][0]["id"],
        "payment_id": payment["id"],
        "shipment_id": await first("/v1/shipments", order_id=order["id"]),
        "address_id": address["id"],
        "session_id": await first("/v1/me/sessions"),
        "method_id": method["id"],
        "notification_id": await first("/v1/me/notifications"),
    }
    urls = (
        f"/v1/orders/{ids['order_id']}",
        f"/v1/carts/{ids['cart_id']}",
        f"/v1/payments/{ids['payment_id']}",
        f"/v1/shipments/{ids['shipment_id']}",
        "/v1/me",
        "/v1/me/addresses",
        "/v1/me/sessions",
        "/v1/me/payment-methods",
        "/v1/me/notifications",
        "/v1/me/preferences",
    )
    return Owner(buyer, ids, urls)


async def people(http: httpx.AsyncClient, instance: Instance, staff: Staff) -> list[Principal]:
    """One person of every built-in role, and a guest with an order and a cart of its own."""
    roles = {each["name"]: each for each in (await staff.get("/v1/admin/roles"))["items"]}
    found = [await with_role(http, instance, staff, roles[name]) for name in ROLES]
    guest = Buyer(http, staff)
    await staff.ended((await guest.buys(await staff.sell(stock=5)))["id"])
    return [*found, Principal("a guest with an order", guest.headers), Principal("anonymous", {})]


async def with_role(
    http: httpx.AsyncClient, instance: Instance, staff: Staff, role: dict[str, Any]
) -> Principal:
    """A person with one role, signed in since it was given."""
    email = f"{secrets.token_hex(5)}@example.com"
    password = f"{secrets.token_hex(12)} dandelions"
    names = {"first_name": "Ada", "last_name": "Byron"}
    ok(await http.post("/v1/auth/register", json={"email": email, "password": password, **names}))
    await verify(http, instance, email, password)
    if role["name"] != "customer":
        path = await path_of_user(staff, email)
        await change(staff, path, "roles", {"roles": ["customer", role["name"]]})
    token = await sign_in(http, email, password)
    permissions = frozenset(role["permissions"])
    return Principal(role["name"], {"Authorization": f"Bearer {token}"}, permissions)


async def verify(http: httpx.AsyncClient, instance: Instance, email: str, password: str) -> None:
    """Prove an address by the link mailed to it, as the person who registered it."""
    token = await Mailbox(instance, email).token("Confirm your e-mail address")
    ok(await http.post("/v1/auth/verify", json={"token": token, "password": password}))


async def path_of_user(staff: Staff, email: str) -> str:
    """The path of a user's account."""
    (user,) = (await staff.get("/v1/admin/users", email=email))["items"]
    return f"/v1/admin/users/{user['id']}"


async def change(staff: Staff, path: str, what: str, body: dict[str, Any]) -> None:
    """Change the `status` or the `roles` of a user, which must succeed."""
    etag = (await staff.http.get(path, headers=staff.headers)).headers["ETag"]
    headers = {**staff.headers, "If-Match": etag}
    ok(await staff.http.put(f"{path}/{what}", json=body, headers=headers))


async def another_administrator(instance: Instance, staff: Staff) -> tuple[str, Staff]:
    """A person who just became an administrator, signed in; the path of their account."""
    email, password = f"{secrets.token_hex(5)}@example.com", f"{secrets.token_hex(12)} dandelions"
    names = {"first_name": "Eve", "last_name": "Second"}
    body = {"email": email, "password": password, **names}
    ok(await staff.http.post("/v1/auth/register", json=body))
    await verify(staff.http, instance, email, password)
    path = await path_of_user(staff, email)
    await change(staff, path, "roles", {"roles": ["admin", "customer"]})
    return path, Staff(staff.http, await sign_in(staff.http, email, password))


@dataclass(frozen=True)
class Attempt:
    """One operation as one principal calls it; `is_foreign`: it names a resource of another owner."""

    operation: Operation
    principal: Principal
    is_foreign: bool
    answer: httpx.Response

    @property
    def fault(self) -> str | None:
        """What is wrong with the answer, or None."""
        wrong = self._wrong()
        return f"{self.principal.name}: {self.operation}: {wrong}" if wrong else None

    def _wrong(self) -> str | None:
        status = self.answer.status_code
        shown = f"{status} {self.answer.text[:200]}"
        expected = self._expected()
        if status >= 500:
            return shown
        if expected is not None:
            return None if status in expected else f"{shown}, expected one of {expected}"
        is_barred = status == 401 or (status == 403 and self.answer.json()["code"] == "forbidden")
        return f"{shown}, expected to be let in" if is_barred else None

    def _expected(self) -> set[int] | None:
        """The statuses that are right; None where anything is but being barred."""
        operation, principal = self.operation, self.principal
        if principal.is_refused or operation.path.startswith(OWN_CREDENTIALS):
            return {401}
        if operation.needs_token and principal.permissions is None:
            return {401}
        if not operation.permissions <= (principal.permissions or frozenset()):
            return {403}
        if self.is_foreign and not operation.permissions and not principal.sees_all(operation):
            return None if self._is_empty_page() else self._hidden()
        return None

    def _is_empty_page(self) -> bool:
        """Whether the answer is a list without anything in it."""
        return self.answer.is_success and self.answer.json().get("items") == []

    def _hidden(self) -> set[int]:
        """The response to a resource of another owner: as if it did not exist."""
        if self.principal.permissions is None:
            return {401, 404}
        if self.operation.named("path"):
            return {404}
        return {404, 409, 422}


async def attempt(
    http: httpx.AsyncClient,
    operation: Operation,
    principal: Principal,
    ids: dict[str, str],
) -> Attempt:
    """Call an operation on the owner's things.

    A principal whom the operation admits sends a body that is refused before it has an effect.
    """
    is_staffs = bool(operation.permissions)
    is_let_in = operation.permissions <= (principal.permissions or frozenset())
    known = PUBLIC_IDS if is_staffs else PUBLIC_IDS | ids
    body, named = _body(operation, ids)
    is_sessions = operation.path.startswith("/v1/auth/")
    if operation.schema and (is_sessions or (is_staffs and is_let_in and not principal.is_refused)):
        body = INVALID_BODY
    query = {name: ids[name] for name in operation.named("query") if name in ids and not is_staffs}
    is_foreign = bool(query) or named or any(name in ids for name in operation.named("path"))
    request = http.build_request(
        operation.method,
        operation.url(known),
        params=query,
        headers={
            **key(),
            "Content-Type": "application/json",
            "If-Match": '"1"',
            **principal.headers,
        },
        content=encoded(body) if body is not None else None,
    )
    answer = await _answered(http, request)
    return Attempt(operation, principal, is_foreign, answer)


async def _answered(http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request; of a stream of events, which may go on for long, only the beginning counts."""
    answer = await http.send(request, stream=True)
    try:
        if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            return httpx.Response(answer.status_code, json={"stream": "begun"}, request=request)
        await answer.aread()
    finally:
        await answer.aclose()
    return answer


def _body(operation: Operation, ids: dict[str, str]) -> tuple[dict[str, Any] | None, bool]:
    """Return the example body with the owner's ids in it, and whether it takes any."""
    if not isinstance(operation.example, dict):
        return operation.example, False
    named = {name: ids[name] for name in operation.example if name in ids}
    # The document's example of an address leaves out what only some countries need.
    address = ADDRESS if "recipient_name" in operation.example else {}
    return {**operation.example, **address, **named}, bool(named)


def without_known_ids(document: Document, ids: dict[str, str]) -> list[str]:
    """Parameters of customers' routes for which the matrix has no foreign thing to name."""
    return [
        f"{operation}: {name}"
        for operation in document.operations
        if not operation.permissions
        for name in operation.named("path")
        if name not in ids and name not in PUBLIC_PARAMETERS
    ]
