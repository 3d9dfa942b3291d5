"""What a card's checkout must show of itself in its trace, and a trace that a test begins."""

import secrets
from dataclasses import replace
from typing import Protocol

from collector import Seen, faults
from shopfloor import Buyer

# By service.
CHECKOUT = {
    "gateway": {"ingress"},
    "cart": {"POST /v1/carts", "POST /internal/carts/{cart_id}/lock"},
    "shipping": {"process commands:shipping.CreateShipments:svc.shipping"},
    "orders": {
        "POST /v1/orders",
        "send commands:inventory.ReserveStock",
        "process events:inventory.StockReserved:svc.orders",
        "process events:payments.PaymentCaptured:svc.orders",
        "send events:orders.OrderConfirmed",
    },
    "inventory": {
        "process commands:inventory.ReserveStock:svc.inventory",
        "send events:inventory.StockReserved",
    },
    "payments": {"process commands:payments.CollectPayment:svc.payments", "POST"},
    "sandbox-provider": {"POST /v1/charges"},
    "notifications": {"process commands:notifications.Notify:svc.notifications"},
}


class Spans(Protocol):
    """A collector that stores spans."""

    def of_trace(self, trace: str) -> list[Seen]:
        """The spans of one trace."""


class Trace:
    """A trace that the test begins, as a client may, and marks as sampled."""

    def __init__(self, collector: Spans, buyer: Buyer) -> None:
        self.collector = collector
        self.id, self.root = secrets.token_hex(16), secrets.token_hex(8)
        buyer.http.headers["traceparent"] = f"00-{self.id}-{self.root}-01"

    @property
    def spans(self) -> list[Seen]:
        """What arrived so far."""
        return self.collector.of_trace(self.id)

    def faults(self) -> list[str]:
        """What is wrong with it; the gateway's names are paths, the rest is taken as it came."""
        spans = [
            replace(span, name="ingress") if span.service == "gateway" else span
            for span in self.spans
        ]
        return faults(spans, self.root, CHECKOUT)
