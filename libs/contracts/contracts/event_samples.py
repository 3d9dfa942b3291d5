"""Sample values of the feed's documents and of the envelope around an event."""

from collections.abc import Mapping
from typing import Any, Final

EVENTS: Final[Mapping[str, Any]] = {
    "types": ["orders.OrderPlaced"],
    "SubscriberBody.types": ["orders.*"],
    "SubscriberBody.reason": "Keeps the books",
    "SubscriberView.name": "bookkeeping",
    "GrantedView.name": "bookkeeping",
    "GrantedView.token": "feed_5tGv9wQe",
    "queue": "events",
    "EventPage.next_cursor": "MTA0Nw",
    "specversion": "1.0",
    "source": "/orders/order",
    "CloudEvent.type": "cartwright.orders.OrderPlaced.v1",
    "CloudEvent.subject": "0197f3a2-5c1e-7d40-8b6f-2a9c4e1d7b35",
    "datacontenttype": "application/json",
    "dataschema": "/schemas/orders.OrderPlaced.v1.json",
    "sequence": 1,
    "correlationid": "0197f3a2-5c1e-7d40-8b6f-2a9c4e1d7b35",
    "actor": "user:0197f3a2-5c1e-7d40-8b6f-2a9c4e1d7b35",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
