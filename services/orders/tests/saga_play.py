"""The saga without a database: an order, the replies as they arrive, and what was sent."""

from datetime import UTC, datetime
from typing import Any

from chassis.ids import new_id
from contracts.inventory import (
    ReserveStock,
    StockRejected,
    StockReserved,
)
from contracts.message import Message
from contracts.money import Money
from contracts.notifications import Notify
from contracts.orders import OrderPlaced
from contracts.payments import (
    CaptureFailed,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    RefundFailed,
)
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
)
from contracts.shipping import (
    ShipmentImpossible,
    ShipmentsCreated,
    ShipmentsPartlyCancelled,
    ShippedLine,
)
from orders.domain.checkout import CancelRequested, Checkout, Facts, ReviewRefund
from orders.domain.order import Stage
from orders.saga import engine
from orders.saga.engine import Deadlines

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEADLINES = Deadlines()


def an_order(**changes: Any) -> Checkout:
    line = {
        "line_id": str(new_id()),
        "variant_id": str(new_id()),
        "product_id": str(new_id()),
        "sku": "TEA-1",
        "quantity": 2,
        "unit_price_amount": 1000,
        "discount_amount": 0,
        "tax_amount": 0,
        "total_amount": 2000,
    }
    coupon = {"code": "SPRING", "coupon_id": str(new_id()), "discount_amount": 100}
    facts = {
        "lines": [line],
        "items": [{"name": "Tea", "quantity": 2}],
        "ship_to": {"recipient_name": "Ada", "line1": "1 Way", "city": "London", "country": "GB"},
        "email": "ada@example.com",
        "coupon": coupon if changes.pop("coupon", False) else None,
        "redeemer": "guest:abc",
        "shipping_method_id": str(new_id()),
        "lead_time_days": 0,
        "payment": {
            "token": "tok_ok",
            "saved_method_id": None,
            "capture": changes.pop("capture", "now"),
        },
    }
    total = changes.pop("total_amount", 2500)
    return Checkout(
        order_id=new_id(),
        order_number="2026-000001",
        cart_id=new_id(),
        customer_id=None,
        user_id=None,
        access_hash="h",
        currency="USD",
        shipping_amount=500,
        total_amount=total,
        payment_method=changes.pop("payment_method", "card"),
        placed_at=NOW,
        facts=Facts.model_validate(facts),
    )


def message(kind: type, order: Checkout) -> Any:
    """A reply or trigger of a class, as it would arrive for this order."""
    usd = Money(amount=order.total_amount, currency="USD")
    line = order.facts.lines[0]
    part = ShippedLine(line_id=line.line_id, variant_id=line.variant_id, quantity=1)
    special: dict[type, dict[str, Any]] = {
        StockReserved: {"allocations": []},
        StockRejected: {"reason": "insufficient"},
        PromotionsRedeemed: {
            "coupon_id": new_id(),
            "code": "SPRING",
            "discount": Money(amount=1, currency="USD"),
        },
        PromotionsRejected: {"reason": "used_up"},
        PaymentActionRequired: {"payment_id": new_id()},
        PaymentAuthorized: {"method": "card", "capture": "now", "payment_id": new_id()},
        PaymentCaptured: {"method": "card", "captured": usd, "payment_id": new_id()},
        PaymentFailed: {"reason": "card_declined"},
        PaymentRefunded: {
            "refunded": order.money(order.unrefunded_amount),
            "refunded_total": order.money(order.captured_amount),
        },
        PaymentDisputed: {"dispute_id": new_id(), "reason": "fraud"},
        RefundFailed: {"reason": "away"},
        CaptureFailed: {"reason": "expired"},
        ShipmentsCreated: {"shipments": []},
        ShipmentImpossible: {"reason": "no carrier", "lines": []},
        ShipmentsPartlyCancelled: {"unsent": [part]},
    }
    if kind is CancelRequested:
        return CancelRequested("customer_request")
    if kind is ReviewRefund:
        return ReviewRefund(700)
    if not issubclass(kind, Message):
        return kind()
    made: Any = kind(**{"order_id": order.order_id, **special.get(kind, {})})
    return made.with_sequence(1)


def play(*kinds: type, **changes: Any) -> tuple[list[type], Stage, Checkout]:
    """Place an order and apply messages; returns what was sent but notices, and the stage."""
    order = an_order(**changes)
    sent = engine.start(order, NOW, DEADLINES).sent
    for kind in kinds:
        sent += engine.apply(order, message(kind, order), NOW, DEADLINES).sent
    return [type(m) for m in sent if not isinstance(m, Notify)], order.stage, order


def after(*kinds: type, **changes: Any) -> tuple[list[type], Stage]:
    """What was sent after the order was placed, and the stage."""
    sent, stage, _ = play(*kinds, **changes)
    assert sent[:2] == [OrderPlaced, ReserveStock]
    return sent[2:], stage


PAID = (StockReserved, PaymentCaptured)
DONE = (*PAID, ShipmentsCreated)
