"""No log of any process holds what is a person's own: looked for by values that were sent in."""

import secrets
from typing import Any

import httpx

from invariants import InvariantChecker
from secret_search import in_logs
from shopfloor import Buyer, Staff, key, ok, until
from suite.instance import Instance


def with_check_digit(digits: str) -> str:
    """A number that could be a card's."""
    for last in "0123456789":
        number = [int(each) for each in digits + last]
        doubled = [sum(divmod(2 * each, 10)) for each in number[-2::-2]]
        if (sum(number[-1::-2]) + sum(doubled)) % 10 == 0:
            return digits + last
    raise AssertionError("one of ten digits always fits")


async def test_what_is_a_persons_own_is_in_no_log(
    instance: Instance,
    http: httpx.AsyncClient,
    staff: Staff,
    buyer: Buyer,
    at_rest: InvariantChecker,
) -> None:
    mark = secrets.token_hex(6)
    sent = {
        "the password": f"{mark} canaries sing in the dandelions",
        "a wrong password": f"{mark} canaries sing in the nettles",
        "the e-mail": f"canary.{mark}@example.com",
        "a card's number": with_check_digit("400000" + str(secrets.randbelow(10**9)).zfill(9)),
        "a strange token": f"canary-token-{mark}",
        "a street": f"canary street {mark}",
    }
    product = await staff.sell(stock=5)
    credentials = {"email": sent["the e-mail"], "password": sent["the password"]}
    names = {"first_name": "Ada", "last_name": "Byron"}
    ok(await http.post("/v1/auth/register", json={**credentials, **names}))
    await http.post("/v1/auth/register", json={**credentials, **names})
    wrong = {**credentials, "password": sent["a wrong password"]}
    assert (await http.post("/v1/auth/login", json=wrong)).status_code == 401
    signed_in = ok(await http.post("/v1/auth/login", json=credentials))
    sent |= {name: signed_in[name] for name in ("access_token", "refresh_token")}

    buyer.email = sent["the e-mail"]
    await buyer.fill((product, 1))
    sent["the cart's token"] = buyer.cart_token
    card: Any = {"method": "card", "token": sent["a card's number"]}
    refused = await buyer.check_out(payment=card)
    assert refused.status_code >= 400
    address = {**buyer.order()["shipping_address"], "line1": sent["a street"]}
    order = ok(await buyer.check_out(shipping_address=address))
    sent["the order's token"] = buyer.order_token

    strange = sent["a strange token"]
    for headers in (
        {"Authorization": f"Bearer {strange}"},
        {"X-Order-Token": strange, "Cookie": f"session={strange}"},
        {"X-Cart-Token": strange},
    ):
        await http.get(f"/v1/orders/{order['id']}", headers=headers)
        await http.get(f"/v1/orders?token={strange}", headers=headers)
        await http.post("/v1/orders", content=f'{{"{strange}', headers={**headers, **key()})
    for path in ("/v1/auth/password-reset", "/v1/auth/refresh", "/v1/webhooks/payments/sandbox"):
        await http.post(path, json={"email": sent["the e-mail"], "token": strange})
    await at_rest.settle()

    planted = f"canary-path-{mark}"
    await http.get(f"/v1/products/{planted}")

    async def is_written() -> bool:
        return "gateway.log holds a path" in in_logs(instance.logs, {"a path": planted})

    # The gateway writes down each path, a little later: this one is found, and the others not.
    await until(is_written)
    assert in_logs(instance.logs, sent) == set()
