"""The invariants I1 to I10, checked at rest over every database, the provider's ledger and a subscriber.

Each check returns the violations it found, in words; an empty list is good. Sources: messaging.md's
list of invariants. I9 (access) and I10 (no 5xx) are about single answers and are asserted where
those are given.
"""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import asyncpg
import httpx
from aio_pika.abc import AbstractChannel, AbstractConnection

from recorder import QUEUE, Recorder
from shopfloor import WAIT_LIMIT, until
from suite import repository
from suite.instance import Instance
from testkit.harness import PLAIN

SERVICES = repository.services(repository.ROOT)
# What a query raises whose connection was lost.
LOST = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    OSError,
)
DUE = "status in ('confirmed', 'shipped', 'delivered')"
# What every service's database must be free of at rest.
LEFT_OVER = (
    "select 'unsent' as what, routing_key as whose, last_error as why from outbox "
    "union all select 'still running', route, null from idempotency_keys where state = 'running' "
    "union all select 'dead letter', type, error from dead_letters"
)


# Where each aggregate stores the number of its last event: database, table, id, source.
NUMBERED = (
    ("orders", "orders", "id", "/orders/order"),
    ("payments", "order_payments", "order_id", "/payments/payment"),
    ("inventory", "reservations", "order_id", "/inventory/reservation"),
    ("inventory", "stock_levels", "variant_id", "/inventory/stock"),
    ("promotions", "redemptions", "order_id", "/promotions/redemption"),
    ("shipping", "fulfilments", "order_id", "/shipping/fulfilment"),
    ("shipping", "shipments", "id", "/shipping/shipment"),
)


async def ready_in(channel: AbstractChannel, queue: str) -> int:
    """Messages that wait in a queue."""
    found = await channel.declare_queue(queue, passive=True)
    return found.declaration_result.message_count or 0


@dataclass
class InvariantChecker:
    """Read access to everything, as only tests have it."""

    instance: Instance
    recorder: Recorder
    # By database, the connections that no query uses at the moment.
    _idle: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _broker: AbstractConnection | None = None

    async def rows(self, database: str, query: str, *values: Any) -> list[Any]:
        """Rows of one database, over a connection that an earlier query opened where one is left."""
        while self._idle[database]:
            try:
                return await self._fetched(database, self._idle[database].pop(), query, *values)
            except LOST:
                # The test ended the server or the session since.
                continue
        connection = await asyncpg.connect(
            self.instance.dsn(database, "postgres"), ssl=False, statement_cache_size=0
        )
        return await self._fetched(database, connection, query, *values)

    async def _fetched(self, database: str, connection: Any, query: str, *values: Any) -> list[Any]:
        try:
            found = list(await connection.fetch(query, *values))
        except BaseException:
            connection.terminate()
            raise
        self._idle[database].append(connection)
        return found

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in (each for idle in self._idle.values() for each in idle):
            connection.terminate()
        self._idle.clear()
        if self._broker is not None:
            await self._broker.close()
            self._broker = None

    async def settle(self, seconds: float = 90) -> None:
        """Wait until every saga has ended and every outbox is empty."""

        async def at_rest() -> bool:
            open_sagas = await self.rows(
                "orders",
                "select stage from checkout_sagas where stage not in ('completed', 'cancelled', "
                "'needs_review')",
            )
            return not open_sagas and await self._nothing_moves()

        await until(at_rest, seconds)

    async def _nothing_moves(self) -> bool:
        """Whether nothing waits in an outbox or queue and, between two looks, nothing was handled."""
        before = await self._progress()
        if any(unsent for unsent, _ in before):
            return False
        for _ in range(2):
            waiting = await self.queues()
            if any(count for name, count in waiting.items() if ".dead" not in name):
                return False
            await asyncio.sleep(0.2)
        return before == await self._progress()

    async def _progress(self) -> list[tuple[int, int]]:
        """Of each service, how many messages it has yet to send, and how many it has handled."""
        counts = "select (select count(*) from outbox), (select count(*) from inbox)"
        found = await asyncio.gather(*(self.rows(name, counts) for name in SERVICES))
        return [tuple(rows[0]) for rows in found]

    async def queues(self) -> dict[str, int]:
        """Messages ready in each queue, as the queue itself counts them: statistics lag by seconds."""
        kinds = ("", ".dead", *(f".retry.{tier}" for tier in (1, 2, 3, 4)))
        names = [f"svc.{service}{kind}" for service in SERVICES for kind in kinds]
        if self._broker is None or self._broker.is_closed:
            self._broker = await aio_pika.connect(self.instance.broker_url())
        async with self._broker.channel() as channel:
            return {name: await ready_in(channel, name) for name in [*names, QUEUE]}

    async def violations(self, *, dead_letters: int = 0) -> list[str]:
        """Everything that is wrong; `dead_letters` were put there by the test itself."""
        checks = (
            self.oversold(),
            self.movements(),
            self.money(),
            self.ledger(),
            self.unfinished(),
            self.leaks(),
            self.deliveries(),
            self.tails(),
            self.untold(),
            self.repeated_answers(),
            self.repeated_effects(),
            self.stale_copies(),
            self.zombies(dead_letters),
        )
        return [fault for found in await asyncio.gather(*checks) for fault in found]

    async def oversold(self) -> list[str]:
        """I1: on_hand ≥ reserved ≥ 0, and what is promised to live orders is what is reserved."""
        found = await self.rows(
            "inventory",
            "select variant_id, warehouse_id, on_hand, reserved from stock_items "
            "where reserved < 0 or on_hand < reserved",
        )
        promised = await self.rows(
            "inventory",
            "select variant_id, warehouse_id, stock_items.reserved, coalesce(sum(a.quantity - "
            "a.deducted) filter (where r.state in ('held', 'committed')), 0) as promised "
            "from stock_items left join allocations a using (variant_id, warehouse_id) "
            "left join reservations r on r.order_id = a.order_id "
            "group by 1, 2, 3 having stock_items.reserved <> coalesce(sum(a.quantity - a.deducted) "
            "filter (where r.state in ('held', 'committed')), 0)",
        )
        return [f"I1 oversold {dict(row)}" for row in [*found, *promised]]

    async def movements(self) -> list[str]:
        """I1: every piece on hand came and went by a movement, so nothing was sold that never came."""
        found = await self.rows(
            "inventory",
            "select variant_id, warehouse_id, on_hand, reserved, "
            "sum(adjustment) filter (where bucket = 'on_hand') as moved, "
            "sum(adjustment) filter (where bucket = 'reserved') as promised "
            "from stock_items left join stock_movements using (variant_id, warehouse_id) "
            "group by 1, 2, 3, 4 "
            "having on_hand <> coalesce(sum(adjustment) filter (where bucket = 'on_hand'), 0) or "
            "reserved <> coalesce(sum(adjustment) filter (where bucket = 'reserved'), 0)",
        )
        return [f"I1 movements {dict(row)}" for row in found]

    async def money(self) -> list[str]:
        """I2: captured less refunded money is what each order's method and state require."""
        orders = await self.rows(
            "orders",
            "select id, status, payment_status, payment_method, total_amount, captured_amount, "
            "refunded_amount, currency from orders",
        )
        retained = {
            row["order_id"]: row["retained"]
            for row in await self.rows(
                "payments",
                "select order_id, sum(captured_amount - refunded_amount)::bigint as retained "
                "from payments group by 1",
            )
        }
        found = []
        for order in orders:
            ours = retained.get(order["id"], 0)
            if ours != order["captured_amount"] - order["refunded_amount"]:
                found.append(f"I2 orders and payments disagree on {order['id']}: {ours}, {order}")
            if order["status"] == "cancelled" and ours:
                found.append(f"I2 cancelled order {order['id']} retains {ours}")
            due = order["total_amount"] - order["refunded_amount"]
            waits = order["payment_method"] == "cod" and order["status"] != "delivered"
            sold = order["status"] in ("confirmed", "shipped", "delivered")
            if sold and ours != (0 if waits else due):
                found.append(f"I2 order {order['id']} retains {ours} of {due}: {dict(order)}")
        return found

    async def ledger(self) -> list[str]:
        """I2: the provider's ledger equals ours, order by order, and both sum to zero."""
        theirs = await self.rows(
            "sandbox",
            "select reference, sum(amount) filter (where account = 'merchant')::bigint as retained, "
            "sum(amount)::bigint as total from ledger_entries group by 1",
        )
        ours = {
            str(row["order_id"]): row["retained"]
            for row in await self.rows(
                "payments",
                "select order_id, sum(captured_amount - refunded_amount)::bigint as retained "
                "from payments where method <> 'cod' group by 1",
            )
        }
        found = [f"I2 the provider's entries do not sum to zero: {r}" for r in theirs if r["total"]]
        for row in theirs:
            if (row["retained"] or 0) != ours.get(row["reference"], 0):
                found.append(f"I2 provider {dict(row)} but ours {ours.get(row['reference'])}")
        unbalanced = await self.rows(
            "payments",
            "select transaction_id, sum(amount) from ledger_entries group by 1 "
            "having sum(amount) <> 0",
        )
        return found + [f"I2 unbalanced {dict(row)}" for row in unbalanced]

    async def unfinished(self) -> list[str]:
        """I3: every order is terminal."""
        found = await self.rows(
            "orders",
            "select order_id, stage, deadline_at from checkout_sagas "
            "where stage not in ('completed', 'cancelled', 'needs_review')",
        )
        pending = await self.rows("orders", "select id from orders where status = 'pending'")
        return [f"I3 unfinished {dict(row)}" for row in [*found, *pending]]

    async def leaks(self) -> list[str]:
        """I4: no hold or redemption without a live order."""
        live = {
            row["id"] for row in await self.rows("orders", f"select id from orders where {DUE}")
        }
        held = await self.rows(
            "inventory",
            "select order_id, state from reservations where state in ('held', 'committed')",
        )
        used = await self.rows(
            "promotions",
            "select order_id, state from redemptions where state in ('reserved', 'redeemed')",
        )
        return [f"I4 leak {dict(row)}" for row in [*held, *used] if row["order_id"] not in live]

    async def deliveries(self) -> list[str]:
        """I5: the subscriber received every aggregate's events, numbered without a gap and in order."""
        return [f"I5 {fault}" for fault in [*self.recorder.gaps(), *self.recorder.inversions()]]

    async def tails(self) -> list[str]:
        """I5: the last event that each aggregate numbered was received too."""
        found = []
        for database, table, key, source in NUMBERED:
            query = f"select {key} as id, sequence from {table} where created_at > $1"
            for row in await self.rows(database, query, self.recorder.since):
                received = self.recorder.last(source, str(row["id"]))
                if received < row["sequence"]:
                    found.append(
                        f"I5 {source} {row['id']}: received {received} of {row['sequence']}"
                    )
        return found

    async def untold(self) -> list[str]:
        """I5: every confirmed or cancelled order led to its mail."""
        ended = await self.rows(
            "orders",
            "select id, confirmed_at, cancelled_at from orders where created_at > $1",
            self.recorder.since,
        )
        mails = await self.rows("notifications", "select type, reference_id from email_messages")
        mailed = {(mail["type"], str(mail["reference_id"])) for mail in mails}
        wanted = [("order_confirmation", row["id"]) for row in ended if row["confirmed_at"]]
        wanted += [("order_cancelled", row["id"]) for row in ended if row["cancelled_at"]]
        return [
            f"I5 no {kind} for {each}" for kind, each in wanted if (kind, str(each)) not in mailed
        ]

    async def repeated_answers(self) -> list[str]:
        """I6: no message had its effect twice: no cause led to two events of one type."""
        received_twice = await self.rows(
            "orders",
            "select order_id, message_id, heard from saga_log where message_id is not null "
            "group by 1, 2, 3 having count(*) > 1",
        )
        return [
            *(f"I6 {fault}" for fault in self.recorder.doubled()),
            *(f"I6 a saga handled it twice {dict(row)}" for row in received_twice),
        ]

    async def repeated_effects(self) -> list[str]:
        """I6: no e-mail, shipment or coupon use twice.

        A mail whose sender died before recording it goes again under the same Message-ID, by which
        its reader knows it; SMTP can do no better. Its row records the second attempt.
        """
        mails = await self.rows(
            "notifications",
            "select type, reference_type, reference_id, count(*) from email_messages "
            "group by 1, 2, 3 having count(*) > 1",
        )
        mailcatcher = self.instance.url("mailcatcher")
        async with httpx.AsyncClient(
            base_url=mailcatcher, timeout=WAIT_LIMIT, verify=PLAIN
        ) as http:
            caught = (await http.get("/messages", params={"limit": 5000})).json()
        ids = Counter(mail["message_id"] for mail in caught)
        again = await self.rows("notifications", "select id from email_messages where attempts > 1")
        known = {str(row["id"]) for row in again}
        twice = [
            mail
            for mail, times in ids.items()
            if times > 1 and mail[1:].partition("@")[0] not in known
        ]
        parcels = await self.rows(
            "shipping",
            "select order_id, warehouse_id, seller_id, count(*) from shipments "
            "group by 1, 2, 3 having count(*) > 1",
        )
        return [
            *(f"I6 queued twice {dict(row)}" for row in mails),
            *(f"I6 sent twice {mail}" for mail in twice),
            *(f"I6 shipped twice {dict(row)}" for row in parcels),
        ]

    async def stale_copies(self) -> list[str]:
        """I7: at rest every copy of the stock equals inventory's."""
        truth = {
            row["variant_id"]: row["available"]
            for row in await self.rows(
                "inventory",
                "select variant_id, sum(i.on_hand - i.reserved)::bigint as available "
                "from stock_items i join warehouses w on w.id = i.warehouse_id where w.is_active "
                "group by 1",
            )
        }
        copies = await self.rows("cart", "select variant_id, available from stock_snapshots")
        return [
            f"I7 cart believes {dict(row)}, inventory has {truth[row['variant_id']]}"
            for row in copies
            if row["variant_id"] in truth and truth[row["variant_id"]] != row["available"]
        ]

    async def zombies(self, expected: int) -> list[str]:
        """I8: nothing unsent, no dead letters but the test's own, no key running, no cart locked."""
        found = []
        for name in SERVICES:
            for row in await self.rows(name, LEFT_OVER):
                found.append(f"I8 {row['what']} in {name}: {row['whose']}, {row['why']}")
        dead = {name: n for name, n in (await self.queues()).items() if ".dead" in name and n}
        if sum(dead.values()) != expected:
            found.append(f"I8 dead letters {dead}, expected {expected}")
        for row in await self.rows(
            "cart", "select id, order_id from carts where status = 'locked'"
        ):
            found.append(f"I8 locked cart {dict(row)}")
        return found
