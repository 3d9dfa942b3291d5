"""Defects a shop could well have, seeded into a service's process as it starts; never elsewhere."""

import asyncio
import copy
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import aiormq

from chassis import clock, inbox
from chassis.driver import Sql
from chassis.ids import new_id


def replaced(statement: Sql, old: str, new: str) -> Sql:
    """A statement with a part of it changed; the part must be there, and hold no parameter."""
    assert old in statement.text, f"{old!r} is gone: seed the defect elsewhere"
    changed = copy.copy(statement)
    changed.text = statement.text.replace(old, new)
    return changed


def replace(owner: Any, **replacements: Any) -> None:
    """Replace attributes of a class or module, as a defect of its source would."""
    for name, replacement in replacements.items():
        setattr(owner, name, replacement)


def naive_stock_update() -> None:
    """Read the stock without a lock, count in Python, write the result over whatever is there."""
    from inventory.store import stock

    added = (
        "set on_hand = stock_items.on_hand + new.on_hand, "
        "reserved = stock_items.reserved + new.reserved"
    )
    stock.LOCK_LEVELS = replaced(stock.LOCK_LEVELS, "for no key update", "")
    overwritten = "set on_hand = new.on_hand, reserved = new.reserved"
    stock.SAVE_STOCK = replaced(stock.SAVE_STOCK, added, overwritten)
    changes, save = stock.item_changes, stock.save_stock

    def absolute(items: Any) -> Any:
        counts = ({"on_hand": item.on_hand, "reserved": item.reserved} for item in items)
        return [{**row, **count} for row, count in zip(changes(items), counts, strict=True)]

    async def slowly(tx: Any, found: Any) -> Any:
        await asyncio.sleep(0.05)
        return await save(tx, found)

    replace(stock, item_changes=absolute, save_stock=slowly)


def relay_without_on_return_raises() -> None:
    """Publish `mandatory`, and take a returned message for a delivered one."""
    channel = aiormq.Connection.channel

    async def deaf(self: Any, *args: Any, **options: Any) -> Any:
        return await channel(self, *args, **{**options, "on_return_raises": False})

    replace(aiormq.Connection, channel=deaf)


def handler_without_inbox() -> None:
    """Handle every delivery, known or not."""
    remember = inbox.insert_new

    async def forgetful(session: Any, consumer: str, ids: Iterable[UUID]) -> set[UUID]:
        await remember(session, consumer, list(ids))
        return set(ids)

    async def never(*_: Any) -> bool:
        return False

    replace(inbox, insert_new=forgetful, contains=never)


def capture_without_idempotency_key() -> None:
    """Ask the provider for money under a new key each time."""
    from payments.clients.sandbox import Sandbox

    charge, capture = Sandbox.charge, Sandbox.capture

    async def charge_again(self: Any, target: Any, new: Any, key: str) -> Any:
        return await charge(self, target, new, str(new_id()))

    async def capture_again(self: Any, target: Any, key: str) -> Any:
        return await capture(self, target, str(new_id()))

    replace(Sandbox, charge=charge_again, capture=capture_again)


def saga_that_forgets_finished_rows() -> None:
    """Find no saga that was cancelled."""
    from orders.domain.order import Stage
    from orders.store import orders

    lock = orders.lock_checkouts

    async def only_open(tx: Any, order_ids: Iterable[UUID]) -> dict[UUID, Any]:
        found = await lock(tx, order_ids)
        return {key: order for key, order in found.items() if order.stage is not Stage.CANCELLED}

    orders.lock_checkouts = only_open


def clock_two_hours_behind() -> None:
    """Read a machine's clock that no one set."""
    clock.machine_time = lambda: time.time() - 7200
