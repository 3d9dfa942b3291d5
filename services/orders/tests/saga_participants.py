"""The participants of one checkout as a small pure model of their contracts.

A participant replies to a repeated command as before, and refuses without effect a command that its
compensation has overtaken. `Behaviour` holds what chance decides: whether there is stock, how the
payment goes, whether a parcel can be sent.
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

PAYS = ("captured", "authorized", "failed", "action_required", "silent")


@dataclass(frozen=True)
class Behaviour:
    """How the participants of this checkout behave."""

    has_stock: bool = True
    coupon_works: bool = True
    pays: str = "captured"
    pays_late: bool = False
    refund_fails_once: bool = False
    can_ship: bool = True


@dataclass
class FakeParticipants:
    """Stock, coupon, money and parcels of one order. States are None until the first command."""

    order: Checkout
    behaviour: Behaviour
    stock: str | None = None
    coupon: str | None = None
    money: str | None = None
    parcels: str | None = None
    captured: int = 0
    refunded: int = 0
    refund_requests: int = 0
    refunds: set[Any] = field(default_factory=set)

    def handle(self, command: Message) -> list[Message]:
        """A participant's replies to a command."""
        for kind, answer in self._handlers().items():
            if isinstance(command, kind):
                return answer(command)
        return []

    def _handlers(self) -> dict[type, Callable[[Any], list[Message]]]:
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

    def _reply(self, kind: type[Message], **facts: Any) -> list[Message]:
        reply: Any = message(kind, self.order)
        return [reply.model_copy(update=facts)] if facts else [reply]

    def _reserve(self, _: ReserveStock) -> list[Message]:
        if self.stock is None:
            self.stock = "held" if self.behaviour.has_stock else "rejected"
        return self._reply(StockReserved if self.stock == "held" else StockRejected)

    def _release_stock(self, _: ReleaseStock) -> list[Message]:
        self.stock = "released"
        return self._reply(StockReleased)

    def _redeem(self, _: RedeemPromotions) -> list[Message]:
        if self.coupon is None:
            self.coupon = "held" if self.behaviour.coupon_works else "rejected"
        return self._reply(PromotionsRedeemed if self.coupon == "held" else PromotionsRejected)

    def _release_coupon(self, _: ReleasePromotions) -> list[Message]:
        self.coupon = "released"
        return self._reply(PromotionsReleased)

    def _collect(self, _: CollectPayment) -> list[Message]:
        if self.money == "cancelled":
            return self._reply(PaymentFailed)
        if self.money is None:
            self.money = self.behaviour.pays
            if self.money == "captured":
                return self._capture()
        return self._payment_event()

    def _capture(self) -> list[Message]:
        if self.money in ("cancelled", "failed", None):
            return []
        return self._charge()

    def _charge(self) -> list[Message]:
        self.money, self.captured = "captured", self.order.total_amount
        return self._payment_event()

    def customer_pays(self) -> list[Message]:
        """The customer confirms, or the bank sends the money, even after the cancellation."""
        late = self.money == "cancelled" and self.behaviour.pays == "silent" and not self.captured
        return self._charge() if self.money in ("action_required", "silent") or late else []

    def _payment_event(self) -> list[Message]:
        match self.money:
            case "captured":
                return self._reply(PaymentCaptured, captured=self._usd(self.captured))
            case "authorized":
                return self._reply(PaymentAuthorized)
            case "action_required":
                return self._reply(PaymentActionRequired)
            case "failed":
                return self._reply(PaymentFailed)
            case "cancelled":
                return self._reply(PaymentCancelled)
            case _:
                return []

    def _cancel_payment(self, _: CancelPayment) -> list[Message]:
        if self.money in ("action_required", "silent") and self.behaviour.pays_late:
            return self._capture()
        if self.money != "captured":
            self.money = "cancelled"
        return self._payment_event()

    def _refund(self, command: RefundPayment) -> list[Message]:
        self.refund_requests += 1
        if self.behaviour.refund_fails_once and self.refund_requests == 1:
            return self._reply(RefundFailed)
        if command.operation_id not in self.refunds:
            assert command.amount is not None
            assert self.refunded + command.amount.amount <= self.captured, "more than was captured"
            self.refunds.add(command.operation_id)
            self.refunded += command.amount.amount
        total = self._usd(self.refunded)
        return self._reply(PaymentRefunded, refunded=total, refunded_total=total)

    def _ship(self, _: CreateShipments) -> list[Message]:
        if self.parcels is None:
            self.parcels = "there" if self.behaviour.can_ship else "impossible"
        return self._reply(ShipmentsCreated if self.parcels == "there" else ShipmentImpossible)

    def _recall(self, _: CancelShipments) -> list[Message]:
        self.parcels = "recalled"
        return self._reply(ShipmentsCancelled)

    def _usd(self, amount: int) -> Money:
        return Money(amount=amount, currency="USD")
