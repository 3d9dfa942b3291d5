"""The neighbours of one checkout as a small pure model: what each promises, and nothing else.

A neighbour answers a repeated command as before, and an action that its undoing has overtaken is
refused without effect. `whims` are what chance may decide: whether there is stock, how the money
behaves, whether a parcel can be sent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from saga_play import message

from contracts.inventory import (
    ReleaseStock,
    ReserveStock,
    RestockUnits,
    StockRejected,
    StockReleased,
    StockReserved,
)
from contracts.message import Message
from contracts.money import Money
from contracts.payments import (
    CancelPayment,
    CapturePayment,
    CollectPayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
    RefundPayment,
)
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
    PromotionsReleased,
    RedeemPromotions,
    ReleasePromotions,
)
from contracts.shipping import (
    CancelShipments,
    CreateShipments,
    ShipmentImpossible,
    ShipmentsCancelled,
    ShipmentsCreated,
)
from orders.domain.checkout import Checkout

PAYS = ("captured", "authorized", "failed", "asked", "silent")


@dataclass(frozen=True)
class Whims:
    """How the neighbours of this checkout are disposed."""

    has_stock: bool = True
    coupon_works: bool = True
    pays: str = "captured"
    pays_at_the_last_moment: bool = False
    refund_fails_once: bool = False
    can_ship: bool = True


@dataclass
class World:
    """Stock, coupon, money and parcels of one order. States are None until first heard of."""

    order: Checkout
    whims: Whims
    stock: str | None = None
    coupon: str | None = None
    money: str | None = None
    parcels: str | None = None
    captured: int = 0
    refunded: int = 0
    refunds_asked: int = 0
    refunds: set[Any] = field(default_factory=set)

    def obey(self, command: Message) -> list[Message]:
        """What a neighbour answers to a command."""
        for kind, answer in self._obeyed().items():
            if isinstance(command, kind):
                return answer(command)
        return []

    def _obeyed(self) -> dict[type, Callable[[Any], list[Message]]]:
        return {
            ReserveStock: self._reserve,
            ReleaseStock: self._release_stock,
            RedeemPromotions: self._redeem,
            ReleasePromotions: self._release_coupon,
            CollectPayment: self._collect,
            CapturePayment: lambda _: self._capture(),
            CancelPayment: self._cancel_payment,
            RefundPayment: self._refund,
            CreateShipments: self._ship,
            CancelShipments: self._recall,
            RestockUnits: lambda _: [],
        }

    def _say(self, kind: type[Message], **facts: Any) -> list[Message]:
        said: Any = message(kind, self.order)
        return [said.model_copy(update=facts)] if facts else [said]

    def _reserve(self, _: ReserveStock) -> list[Message]:
        if self.stock is None:
            self.stock = "held" if self.whims.has_stock else "rejected"
        return self._say(StockReserved if self.stock == "held" else StockRejected)

    def _release_stock(self, _: ReleaseStock) -> list[Message]:
        self.stock = "released"
        return self._say(StockReleased)

    def _redeem(self, _: RedeemPromotions) -> list[Message]:
        if self.coupon is None:
            self.coupon = "held" if self.whims.coupon_works else "rejected"
        return self._say(PromotionsRedeemed if self.coupon == "held" else PromotionsRejected)

    def _release_coupon(self, _: ReleasePromotions) -> list[Message]:
        self.coupon = "released"
        return self._say(PromotionsReleased)

    def _collect(self, _: CollectPayment) -> list[Message]:
        if self.money == "cancelled":
            return self._say(PaymentFailed)
        if self.money is None:
            self.money = self.whims.pays
            if self.money == "captured":
                return self._capture()
        return self._standing()

    def _capture(self) -> list[Message]:
        if self.money in ("cancelled", "failed", None):
            return []
        return self._take_money()

    def _take_money(self) -> list[Message]:
        self.money, self.captured = "captured", self.order.total_amount
        return self._standing()

    def customer_pays(self) -> list[Message]:
        """The customer says yes, or the bank at last sends the money: that even when given up."""
        late = self.money == "cancelled" and self.whims.pays == "silent" and not self.captured
        return self._take_money() if self.money in ("asked", "silent") or late else []

    def _standing(self) -> list[Message]:
        match self.money:
            case "captured":
                return self._say(PaymentCaptured, captured=self._usd(self.captured))
            case "authorized":
                return self._say(PaymentAuthorized)
            case "asked":
                return self._say(PaymentActionRequired)
            case "failed":
                return self._say(PaymentFailed)
            case "cancelled":
                return self._say(PaymentCancelled)
            case _:
                return []

    def _cancel_payment(self, _: CancelPayment) -> list[Message]:
        if self.money in ("asked", "silent") and self.whims.pays_at_the_last_moment:
            return self._capture()
        if self.money != "captured":
            self.money = "cancelled"
        return self._standing()

    def _refund(self, command: RefundPayment) -> list[Message]:
        self.refunds_asked += 1
        if self.whims.refund_fails_once and self.refunds_asked == 1:
            return self._say(RefundFailed)
        if command.operation_id not in self.refunds:
            assert command.amount is not None
            assert self.refunded + command.amount.amount <= self.captured, "more than was captured"
            self.refunds.add(command.operation_id)
            self.refunded += command.amount.amount
        total = self._usd(self.refunded)
        return self._say(PaymentRefunded, refunded=total, refunded_total=total)

    def _ship(self, _: CreateShipments) -> list[Message]:
        if self.parcels is None:
            self.parcels = "there" if self.whims.can_ship else "impossible"
        return self._say(ShipmentsCreated if self.parcels == "there" else ShipmentImpossible)

    def _recall(self, _: CancelShipments) -> list[Message]:
        self.parcels = "kept back"
        return self._say(ShipmentsCancelled)

    def _usd(self, amount: int) -> Money:
        return Money(amount=amount, currency="USD")
