"""Reconciliation on books that were really damaged: every kind is found, proposed and repaired."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from invariants import InvariantChecker
from operator_cli import OperatorCli, damage
from shopfloor import Buyer, Product, Staff, until
from suite.instance import Instance

NOW = ("--settled", "0", "--since", "1h")
WHY = ("--reason", "the books were damaged")
REFERRING = ("order_lines", "order_shipments", "order_history", "saga_log", "checkout_sagas")
DECLINED = {"payment": {"method": "card", "token": "tok_declined"}}


@pytest.fixture
def desk(instance: Instance, staff: Staff) -> OperatorCli:
    """The administrator at the keyboard."""
    return OperatorCli(instance.url("gateway"), staff.token)


@dataclass
class Damaged:
    """Orders by what was done to their books; each was sound before."""

    vanished: str
    never_paid: str
    forgotten_by_orders: str
    forgotten_by_payments: str
    still_held: str
    product: Product

    @property
    def kinds(self) -> dict[str, set[str]]:
        """What must be found of each order."""
        return {
            self.vanished: {"paid_without_order", "hold_without_order"},
            self.never_paid: {"order_without_payment"},
            self.forgotten_by_orders: {"captured_differs"},
            self.forgotten_by_payments: {"provider_differs"},
            self.still_held: {"hold_without_order"},
        }


@pytest_asyncio.fixture
async def damaged(instance: Instance, staff: Staff, books: InvariantChecker) -> Damaged:
    """Five orders, at rest and then damaged in the databases."""
    product = await staff.sell(stock=9)

    async def ended(**changes: Any) -> str:
        order = await Buyer(staff.http, staff).buys(product, **changes)
        await staff.ended(order["id"])
        return str(order["id"])

    good, bad = [ended() for _ in range(3)], [ended(**DECLINED) for _ in range(2)]
    vanished, by_orders, by_payments, never_paid, held = await asyncio.gather(*good, *bad)
    found = Damaged(vanished, never_paid, by_orders, by_payments, held, product)
    await books.settle()
    await asyncio.gather(
        damage(instance, "orders", *_orders(found)),
        damage(instance, "payments", *_payments(found)),
        damage(instance, "inventory", *_inventory(found)),
    )
    return found


def _orders(found: Damaged) -> list[str]:
    """One order is lost, one sold without being paid, one no longer knows that it was paid."""
    return [
        *(f"delete from {name} where order_id = '{found.vanished}'" for name in REFERRING),
        f"delete from orders where id = '{found.vanished}'",
        (
            "update orders set status = 'confirmed', payment_status = 'paid', cancelled_at = null, "
            "cancellation_reason = null, cancellation_state = null "
            f"where id = '{found.never_paid}'"
        ),
        (
            "update checkout_sagas set stage = 'completed', progress = progress - 'said_cancelled' - "
            f"'reason' where order_id = '{found.never_paid}'"
        ),
        (
            "update orders set captured_amount = 0, payment_status = 'pending' "
            f"where id = '{found.forgotten_by_orders}'"
        ),
    ]


def _payments(found: Damaged) -> list[str]:
    """One payment forgets that it was captured."""
    return [
        (
            "update payments set status = 'initiated', captured_amount = 0, paid_at = null, "
            f"check_at = null where order_id = '{found.forgotten_by_payments}'"
        ),
        f"delete from ledger_entries where order_id = '{found.forgotten_by_payments}'",
    ]


def _inventory(found: Damaged) -> list[str]:
    """The release of one order's piece is undone, its movement included."""
    variant, order = found.product.variant_id, found.still_held
    return [
        f"update reservations set state = 'held' where order_id = '{order}'",
        (
            "update stock_items set reserved = reserved + 1 from allocations a where a.order_id = "
            f"'{order}' and a.variant_id = stock_items.variant_id "
            "and a.warehouse_id = stock_items.warehouse_id"
        ),
        f"update stock_levels set reserved = reserved + 1 where variant_id = '{variant}'",
        (
            f"delete from stock_movements where reference_id = '{order}' and bucket = 'reserved' "
            "and adjustment < 0"
        ),
    ]


async def reconciled(desk: OperatorCli, damaged: Damaged) -> dict[str, list[Any]]:
    """The findings of the damaged orders, by order; of others there may be some."""
    wanted = damaged.kinds
    found = await desk.findings(*NOW)
    by_order: dict[str, list[Any]] = {}
    for each in found:
        if each["order_id"] in wanted:
            by_order.setdefault(each["order_id"], []).append(each)
    return by_order


async def test_every_kind_of_damage_is_found_proposed_and_repaired(
    desk: OperatorCli, staff: Staff, damaged: Damaged, at_rest: InvariantChecker
) -> None:
    assert (await staff.level(damaged.product)) == (9, 4)
    found = await reconciled(desk, damaged)
    text = await desk.run("reconcile", *NOW, code=1)

    assert {
        order: {f["kind"] for f in findings} for order, findings in found.items()
    } == damaged.kinds
    every = [each for findings in found.values() for each in findings]
    assert all(each["step"] and each["kind"] in text and each["subject"] in text for each in every)

    chosen = [part for each in every for part in ("--only", each["id"])]
    applied = await desk.json("reconcile", *NOW, *chosen, "--apply", "--yes", *WHY)
    assert {each["result"] for each in applied} == {"done"}
    await until(lambda: no_findings(desk, damaged))

    assert (await staff.ended(damaged.never_paid))["stage"] == "cancelled"
    assert (await staff.get(f"/v1/admin/orders/{damaged.forgotten_by_orders}"))["payment"][
        "status"
    ] == "paid"
    await give_up_the_refund_of_nothing(desk, damaged.vanished)
    assert (await staff.level(damaged.product)) == (9, 2)
    audit_entries = await desk.json("audit", "--limit", "100")
    done = {deed["action"] for deed in audit_entries if deed["reason"] == WHY[1]}
    assert done >= {"hold.release", "payment.restate", "payment.refund", "saga.compensate"}


async def no_findings(desk: OperatorCli, damaged: Damaged) -> bool:
    """Whether the books of all of them agree."""
    return not await reconciled(desk, damaged)


async def give_up_the_refund_of_nothing(desk: OperatorCli, order_id: str) -> None:
    """Orders receives the refund of an order it does not have; what it cannot handle must go."""

    async def given_up() -> Any:
        return await desk.json("dead", "list", "--service", "orders", "--subject", order_id)

    (letter,) = await until(given_up)
    assert letter["error"] == "OrderUnknown"
    line = ("--service", "orders", "--subject", order_id, *WHY, "--yes")
    assert await desk.json("dead", "discard", *line) == {"discarded": 1}


async def test_what_was_never_sent_is_found_and_sent(
    instance: Instance, desk: OperatorCli, at_rest: InvariantChecker
) -> None:
    stray = (
        "insert into outbox (message_id, shard, subject, exchange, routing_key, headers, body, "
        "created_at, parked_at) select message_id, 0, 'x', 'svc.shipping.retry', 'dead', "
        "'{\"cloudEvents:type\": \"x\"}', '', now() - interval '1 hour', now() "
        "from inbox limit 1"
    )
    await damage(instance, "shipping", stray)
    line = ("reconcile", *NOW, "--only", "unsent:shipping", "--apply", "--yes", *WHY)
    assert [each["result"] for each in await desk.json(*line)] == ["done"]

    async def discarded() -> bool:
        gone = ("--service", "shipping", "--type", "x", *WHY, "--yes")
        return bool((await desk.json("dead", "discard", *gone))["discarded"])

    await until(discarded)
    assert await at_rest.rows("shipping", "select 1 from outbox") == []
