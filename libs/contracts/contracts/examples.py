"""Golden examples of every message, all about the same order in the same small shop.

`contracts.snapshots` writes one beside each schema snapshot and never changes it: every later class
of the type must decode it. Each is a complete message in JSON, as the feed returns it.
"""

import json
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel

from contracts import structured
from contracts.envelope import Envelope
from contracts.message import Event, Message

FOLDER = Path(__file__).parent / "examples"
MOMENT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

# Values by field name; OWN_VALUES holds those of names that mean different things.
VALUES: Mapping[str, Any] = {
    "access_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "amount": 4500,
    "available": 8,
    "brand": "visa",
    "carrier": "Post",
    "city": "Portland",
    "code": "SPRING10",
    "country": "US",
    "coupon_code": "SPRING10",
    "currency": "USD",
    "description": "Green / 100 g",
    "discount_amount": 0,
    "discount_price_amount": 1800,
    "generation": 4,
    "last_four": "4242",
    "lead_time_days": 2,
    "line1": "12 Analytical Way",
    "line2": "Flat 3",
    "location": "Portland, OR",
    "max_length": 40,
    "name": "Green tea",
    "on_hand": 10,
    "open_shipments": 1,
    "order_number": "2026-000042",
    "phone": "+15035550100",
    "postal_code": "97201",
    "price_amount": 2000,
    "quantity": 2,
    "reason": "customer_request",
    "recipient": "ada@example.com",
    "recipient_name": "Ada Byron",
    "redeemer": "customer:0195942c-1d68-7c8e-9b1a-6d2f3c4b5a69",
    "reference": "ch_000042",
    "reserved": 2,
    "reply_to": "svc.cart",
    "sent": 200,
    "sku": "TEA-GREEN-100",
    "slug": "green-tea",
    "state": "OR",
    "tax_amount": 0,
    "threshold": 10,
    "token": "tok_ok",
    "total_amount": 4000,
    "tracking_number": "PO123456789US",
    "type": "text",
    "unit_price_amount": 2000,
    "wanted": 9,
}
# Values of fields whose name alone would give the wrong one, by class and field.
OWN_VALUES: Mapping[tuple[str, str], Any] = {
    ("CaptureFailed", "reason"): "authorization_expired",
    ("CategoryChanged", "name"): "Tea",
    ("CategoryChanged", "slug"): "tea",
    ("CustomizationField", "name"): "Engraving",
    ("PaymentDisputed", "reason"): "fraudulent",
    ("PaymentFailed", "reason"): "card_declined",
    ("RefundFailed", "reason"): "provider_unavailable",
    ("RestockUnits", "reason"): "refused_at_door",
    ("ShipmentImpossible", "reason"): "no_such_method",
    ("ShippingMethodChanged", "name"): "Standard",
    ("StockRanLow", "available"): 4,
}
# Optional fields that do not fit the examples' order.
LEFT_OUT = {"merged_into", "parent_id", "seller_id"}


def example_of(message: type[Message]) -> bytes:
    """The example of the current class, as the file holds it."""
    found = build(message)
    envelope = Envelope(
        id=uuid7(message.type_name()),
        source=found.source(),
        type=found.type_name(),
        subject=found.subject(),
        time=MOMENT,
        sequence=1 if isinstance(found, Event) else None,
        correlation_id=found.subject(),
        actor="guest",
        traceparent=TRACE,
    )
    return structured.write(envelope, found.encode()) + b"\n"


def build(model: type[Any]) -> Any:
    """An instance with every field that fits the examples' order."""
    return model(
        **{
            name: OWN_VALUES.get((model.__name__, name)) or value_of(name, field.annotation)
            for name, field in model.model_fields.items()
            if field.is_required() or name not in LEFT_OUT
        }
    )


def value_of(name: str, kind: Any) -> Any:
    """A value for a field of this name and type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return value_of(name, next(each for each in inner if each is not type(None)))
    if origin is Literal:
        return inner[0]
    if origin in (list, Sequence):
        return [value_of(name.removesuffix("s"), inner[0])]
    if origin is dict:
        return {"order_number": VALUES["order_number"]}
    return plain_value(name, kind)


def plain_value(name: str, kind: type[Any]) -> Any:
    """A value of a type without parameters."""
    if issubclass(kind, BaseModel):
        return build(kind)
    if kind is UUID:
        return uuid7("category_id" if name == "category_path" else name)
    if kind is datetime:
        return MOMENT
    if kind is bool:
        return name.startswith("is_") and name != "is_deleted"
    return kind(VALUES[name])


def uuid7(name: str) -> UUID:
    """A UUIDv7 derived from a name."""
    millisecond = int(MOMENT.timestamp() * 1000)
    rest = uuid5(NAMESPACE_URL, name).int & ((1 << 74) - 1)
    number = (millisecond << 80) | (7 << 76) | ((rest >> 62) << 64) | (2 << 62)
    return UUID(int=number | rest & ((1 << 62) - 1))


def golden_examples(message: type[Message], folder: Path = FOLDER) -> list[bytes]:
    """The golden examples of a message, oldest first: one per schema snapshot."""
    place = folder / message.type_name().removeprefix("cartwright.")
    return [file.read_bytes() for file in sorted(place.glob("*.json"))]


def faults(message: type[Message], folder: Path = FOLDER) -> list[str]:
    """Why the current class cannot decode a golden example completely; empty when it can."""
    found = []
    for number, document in enumerate(golden_examples(message, folder), start=1):
        title = f"{message.type_name()}, example {number}"
        try:
            envelope, data = structured.read(document)
            decoded = message.decode(data).model_dump(mode="json")
        except ValueError as error:
            found.append(f"{title}: {error}")
            continue
        if envelope.type != message.type_name():
            found.append(f"{title}: is a {envelope.type}")
        found += [f"{title}: {each}" for each in lost_values(json.loads(data), decoded)]
    return found


def lost_values(original: Any, decoded: Any, path: str = "$") -> list[str]:
    """Values that decoding lost or changed, each by its path."""
    if isinstance(original, dict) and isinstance(decoded, dict):
        return [
            lost
            for name, value in original.items()
            for lost in (
                lost_values(value, decoded[name], f"{path}.{name}")
                if name in decoded
                else [f"{path}.{name} was lost"]
            )
        ]
    if isinstance(original, list) and isinstance(decoded, list) and len(original) == len(decoded):
        pairs = enumerate(zip(original, decoded, strict=True))
        return [
            lost
            for number, (one, other) in pairs
            for lost in lost_values(one, other, f"{path}[{number}]")
        ]
    return [] if original == decoded else [f"{path} was {original!r} and is decoded as {decoded!r}"]
