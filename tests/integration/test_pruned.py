"""Pruning deletes nothing that an invariant needs, however long ago the orders were placed."""

from collections import Counter
from datetime import timedelta
from importlib import import_module

from chassis import pruning
from chassis.db import Database
from chassis.ids import utcnow
from invariants import InvariantChecker
from shopfloor import Buyer, Staff
from suite.instance import Instance

TEN_YEARS = timedelta(days=3653)
# Other tests are logged in; an order outlives the mail that I5 expects of it.
UNTOUCHED = {
    "identity": {"sessions": 0, "attempts": 0, "email_tokens": 0},
    "notifications": {"email_messages": 0},
}
SERVICES = ("cart", "identity", "inventory", "notifications", "orders", "payments", "shipping")


async def pruned(instance: Instance, service: str) -> Counter[str]:
    """Prune a service's database as of ten years from now; returns how many rows that deleted."""
    days = {"token_cutoffs": 0.0, **UNTOUCHED.get(service, {})}
    rules = pruning.rules_of(import_module(f"{service}.main").service.metadata, days)
    url = instance.dsn(service).replace("postgresql://", "postgresql+asyncpg://", 1)
    database, found = Database(url, pool_size=2), Counter[str]()
    try:
        for rule in rules:
            while done := await pruning.prune(database, rule, utcnow() + TEN_YEARS):
                found[rule.table] += done
    finally:
        await database.close()
    return found


async def test_no_invariant_needs_a_row_that_is_pruned(
    instance: Instance, staff: Staff, buyer: Buyer, at_rest: InvariantChecker
) -> None:
    product = await staff.sell(stock=3)
    delivered = await buyer.buys(product)
    await staff.ended(delivered["id"])
    await staff.track(delivered["id"], "packed", "shipped", "delivered")
    await buyer.reaches(delivered["id"], "delivered")
    other = Buyer(buyer.http, staff)
    cancelled = await other.buys(product)
    await staff.ended(cancelled["id"])
    assert (await other.cancel(cancelled["id"])).status_code == 202
    await other.reaches(cancelled["id"], "cancelled")
    await at_rest.settle()

    found = sum([await pruned(instance, service) for service in SERVICES], Counter[str]())

    tables = {"saga_log", "carts", "payment_attempts", "provider_events", "tracking_events"}
    assert found.keys() >= tables | {"idempotency_keys"}
    assert await at_rest.violations() == []
    left = await at_rest.rows("orders", "select order_id from saga_log")
    assert delivered["id"] not in {str(row["order_id"]) for row in left}
    assert await staff.level(product) == (2, 0)
    assert (await buyer.read(delivered["id"]))["status"] == "delivered"
