"""One checkout of each kind, so that together they pass every step of the saga that can be bought.

A journey does its part and never checks how it ends: what crashed meanwhile may have turned a sale
into a cancellation. That it ends, and that the books then balance, is checked for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from bank_transfer import transfer
from invariants import InvariantChecker
from shopfloor import ENDED, Buyer, Product, Staff, until

PAYPAL = {"method": "paypal", "token": "tok_ok"}
# What one piece of the product costs with its shipping, in minor units.
TOTAL = 2500
OPEN_END = (*ENDED, "needs_review")


def card(token: str) -> dict[str, str]:
    """Payment by a card with this token."""
    return {"method": "card", "token": token}


@dataclass
class Journeys:
    """Buyers in one shop; `product` is plentiful."""

    staff: Staff
    http: httpx.AsyncClient
    product: Product
    books: InvariantChecker

    def buyer(self) -> Buyer:
        """Another guest."""
        return Buyer(self.http, self.staff)

    async def stage(self, order_id: str, *wanted: str) -> str:
        """Wait until the saga is in one of the stages, or has ended; returns the stage."""

        async def there() -> str | None:
            stage = str((await self.staff.saga(order_id))["stage"])
            return stage if stage in (*wanted, *OPEN_END) else None

        return await until(there, 90)

    async def place(self, **changes: Any) -> tuple[Buyer, str]:
        """Put one piece in a cart and order it."""
        buyer = self.buyer()
        order = await buyer.buys(self.product, wait=0, **changes)
        return buyer, order["id"]

    async def bought(self) -> None:
        """With a coupon, by card."""
        code = await self.staff.coupon()
        _, order_id = await self.place(coupon_code=code)
        await self.stage(order_id)

    async def declined(self) -> None:
        """With a coupon, by a card that is declined."""
        code = await self.staff.coupon()
        _, order_id = await self.place(coupon_code=code, payment=card("tok_declined"))
        await self.stage(order_id)

    async def sold_out(self) -> None:
        """Two carts hold the last piece."""
        last = await self.staff.sell(stock=1)
        await self._rivals(last)

    async def coupon_used_up(self) -> None:
        """Two carts show the coupon that works once."""
        code = await self.staff.coupon(max_uses=1)
        await self._rivals(self.product, coupon_code=code)

    async def _rivals(self, product: Product, **changes: Any) -> None:
        buyers = [self.buyer(), self.buyer()]
        await asyncio.gather(*(buyer.fill((product, 1)) for buyer in buyers))
        answers = await asyncio.gather(*(b.check_out(wait=0, **changes) for b in buyers))
        await asyncio.gather(*(self.stage(a.json()["id"]) for a in answers if a.is_success))

    async def cancelled_while_collecting(self) -> None:
        """The bank requires the customer's consent, who cancels instead."""
        buyer, order_id = await self.place(payment=card("tok_action"))
        await self.stage(order_id, "awaiting_customer")
        await buyer.cancel(order_id)
        await self.stage(order_id)

    async def never_answered(self) -> None:
        """The bank requires the customer's consent, who never answers."""
        _, order_id = await self.place(payment=card("tok_action"))
        await self.stage(order_id)

    async def paid_at_the_last_moment(self) -> None:
        """The customer cancels and pays in the same moment."""
        buyer, order_id = await self.place(payment=card("tok_late_capture"))
        await self.stage(order_id, "awaiting_customer")
        await buyer.cancel(order_id)
        await self.stage(order_id)

    async def confirmed_by_the_customer(self) -> None:
        """By PayPal, whose page requires a confirmation."""
        buyer, order_id = await self.place(payment=PAYPAL)
        if await self.stage(order_id, "awaiting_customer") == "awaiting_customer":
            payment = await until(lambda: buyer.payment(order_id))
            if payment["next_action"]:
                await self.http.post(f"{payment['next_action']['url']}/confirm")
        await self.stage(order_id)

    async def recalled(self) -> None:
        """Paid, and cancelled before the parcel left; the first refund fails."""
        code = await self.staff.coupon()
        buyer, order_id = await self.place(payment=card("tok_refund_fails_once"), coupon_code=code)
        await self.stage(order_id)
        await buyer.cancel(order_id)
        await self.stage(order_id)

    async def cash_on_delivery(self) -> None:
        """Paid at the door."""
        _, order_id = await self.place(payment={"method": "cod"})
        if await self.stage(order_id) == "completed":
            await self.staff.track(order_id, "shipped", "delivered")

    async def refused_at_the_door(self) -> None:
        """Not paid at the door."""
        _, order_id = await self.place(payment={"method": "cod"})
        if await self.stage(order_id) == "completed":
            await self.staff.track(order_id, "shipped", "failed")

    async def transferred_late(self) -> None:
        """Cancelled, and then the money comes by bank transfer."""
        buyer, order_id = await self.place(payment={"method": "bank_transfer"})
        await self.stage(order_id, "awaiting_customer")
        await buyer.cancel(order_id)
        await self.stage(order_id)
        await transfer(self.books.instance, self.books, order_id, TOTAL)

    async def fully_discounted(self) -> None:
        """Nothing is due."""
        code = await self.staff.coupon(value=10_000)
        method = await self.staff.free_shipping("OR")
        _, order_id = await self.place(coupon_code=code, shipping_method_id=method)
        await self.stage(order_id)

    def all(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Every journey by its name, those that pass most first."""
        kinds = (
            self.bought, self.declined, self.recalled, self.cancelled_while_collecting,
            self.paid_at_the_last_moment, self.confirmed_by_the_customer, self.cash_on_delivery,
            self.refused_at_the_door, self.sold_out, self.coupon_used_up, self.never_answered,
            self.transferred_late, self.fully_discounted,
        )  # fmt: skip
        return {kind.__name__: kind for kind in kinds}
