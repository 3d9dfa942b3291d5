"""The promise of the contracts: what was published once is understood for good."""

import copy
import importlib
import pkgutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

import contracts
from contracts import catalogue, registry, snapshots
from contracts.compatibility import breaks
from contracts.envelope import BadEnvelope, Envelope
from contracts.inventory import StockRejected, StockReserved
from contracts.message import Command, Event, Message
from contracts.orders import OrderPlaced

ALL = sorted(registry.all_messages().values(), key=lambda message: message.type_name())
ORDER = UUID("01890000-0000-7000-8000-000000000000")
PERSONAL = ("email", "recipient", "name", "line1", "phone", "token", "address", "secret")


def test_every_module_that_defines_messages_is_listed() -> None:
    listed = set(registry.all_messages())
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"contracts.{module.name}")
    assert set(registry.MESSAGES) == listed


def concrete() -> list[type[Message]]:
    """Every class that is sent; the kinds they share are not."""
    parents = {parent for message in ALL for parent in message.__mro__[1:]}
    return [message for message in ALL if message not in parents]


@pytest.mark.parametrize("message", ALL, ids=lambda m: m.type_name())
def test_every_message_is_compatible_with_its_snapshots(message: type[Message]) -> None:
    assert snapshots.faults(message) == []


def test_no_snapshot_is_without_its_message() -> None:
    known = {message.type_name().removeprefix("cartwright.") for message in ALL}
    assert {folder.name for folder in snapshots.FOLDER.iterdir()} == known


@pytest.mark.parametrize("message", concrete(), ids=lambda m: m.type_name())
def test_every_message_is_documented(message: type[Message]) -> None:
    assert message.__doc__
    assert issubclass(message, Event | Command)
    if issubclass(message, Event):
        assert message.subject_field in message.model_fields
    else:
        assert message.senders


@pytest.mark.parametrize(
    "message", [m for m in concrete() if issubclass(m, Event)], ids=lambda m: m.type_name()
)
def test_events_carry_nothing_of_a_person(message: type[Message]) -> None:
    allowed = {"name", "product_name"} if message.owner() in ("catalog", "shipping") else set()
    fields = set(message.model_fields) - allowed
    assert not {f for f in fields if any(word in f.split("_") for word in PERSONAL)}


SCHEMA: dict[str, Any] = catalogue.schema_of(OrderPlaced)


def changed(**edits: Any) -> dict[str, Any]:
    new = copy.deepcopy(SCHEMA)
    for path, value in edits.items():
        *parents, last = path.split("__")
        place = new
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return new


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (changed(properties__total=None), "removed"),
        (changed(properties__order_number={"type": "integer"}), "type changed"),
        (changed(required=[*SCHEMA["required"], "customer_id"]), "now required"),
        (changed(required=SCHEMA["required"][1:]), "no longer required"),
        (changed(properties__order_number={"type": "string", "maxLength": 5}), "maxLength"),
        (
            changed(properties__gift={"type": "boolean"}, required=[*SCHEMA["required"], "gift"]),
            "must be optional",
        ),
        (changed(properties__payment_method={"type": "string", "enum": ["card"]}), "values"),
        (changed(properties__lines={"type": "array", "items": {"type": "string"}}), "type"),
        (changed(properties__placed_at={"type": "string"}), "format"),
        (changed(properties__total__anyOf=[{"type": "null"}]), "alternatives"),
        (changed(properties__lines__maxItems=5), "maxItems"),
        (changed(properties__customer_id__default="guest"), "default"),
        (changed(properties__customer_id__anyOf=[{"type": "string"}]), "alternatives"),
        (
            changed(
                properties__payment_method={
                    "type": "string",
                    "enum": [*SCHEMA["properties"]["payment_method"]["enum"], "crypto"],
                }
            ),
            "values",
        ),
        (changed(properties__total__oneOf=[]), "oneOf"),
        (changed(**{"$defs__Money__properties__currency": {"type": "integer"}}), "type changed"),
        (changed(**{"$defs__OrderedLine__properties__sku": None}), "removed"),
    ],
)
def test_each_kind_of_breaking_change_is_refused(new: dict[str, Any], reason: str) -> None:
    assert any(reason in found for found in breaks(SCHEMA, new))
    assert breaks(new, SCHEMA), "the way back is refused too"


def test_an_optional_field_may_be_added() -> None:
    new = changed(properties__gift={"type": "boolean", "default": False})
    assert breaks(SCHEMA, new) == []
    assert breaks(new, SCHEMA) != []


def test_a_change_without_a_snapshot_is_noticed(tmp_path: Path) -> None:
    assert snapshots.faults(StockReserved, tmp_path) != []
    assert snapshots.write(StockReserved, tmp_path, tmp_path / "examples")
    assert snapshots.faults(StockReserved, tmp_path) == []
    assert not snapshots.write(StockReserved, tmp_path, tmp_path / "examples")


def test_every_earlier_snapshot_is_held_against_the_present_schema(tmp_path: Path) -> None:
    snapshots.write(StockReserved, tmp_path, tmp_path / "examples")
    (first,) = tmp_path.glob("inventory*/0001.json")
    present = first.read_text()
    (first.parent / "0002.json").write_text(present)
    assert snapshots.faults(StockReserved, tmp_path) == []
    first.write_text(present.replace('"warehouse_id"', '"house_id"'))
    (fault, *_) = snapshots.faults(StockReserved, tmp_path)
    assert "against snapshot 1" in fault
    with pytest.raises(ValueError, match="add a new class instead"):
        (first.parent / "0002.json").unlink()
        snapshots.write(StockReserved, tmp_path, tmp_path / "examples")


def test_consumers_ignore_unknown_fields_and_producers_may_not_send_them() -> None:
    body = b'{"order_id":"%s","reason":"insufficient","news":1}' % str(ORDER).encode()
    assert StockRejected.decode(body).order_id == ORDER
    with pytest.raises(ValidationError):
        StockRejected.model_validate({"order_id": ORDER, "reason": "insufficient", "news": 1})


def test_an_envelope_survives_its_journey() -> None:
    headers = {
        "cloudEvents:id": str(ORDER),
        "cloudEvents:source": "/orders/order",
        "cloudEvents:type": "cartwright.orders.OrderPlaced.v1",
        "cloudEvents:subject": str(ORDER),
        "cloudEvents:time": "2026-01-01T00:00:00+00:00",
        "cloudEvents:sequence": 3,
        "cloudEvents:correlationid": str(ORDER),
        "cloudEvents:actor": "guest",
        "cloudEvents:traceparent": "00-a-b-01",
    }
    envelope = Envelope.of(headers)
    assert Envelope.of(envelope.headers()) == envelope
    for name in ("id", "type", "subject", "time", "correlationid"):
        with pytest.raises(BadEnvelope):
            Envelope.of({k: v for k, v in headers.items() if not k.endswith(f":{name}")})
    with pytest.raises(BadEnvelope):
        Envelope.of({**headers, "cloudEvents:sequence": "many"})


def test_two_messages_may_not_share_a_type_name() -> None:
    with pytest.raises(TypeError, match="claimed"):
        type(
            "Impostor",
            (StockReserved,),
            {
                "__module__": "contracts.inventory",
                "__qualname__": "X",
                "type_name": classmethod(lambda _cls: StockReserved.type_name()),
            },
        )
