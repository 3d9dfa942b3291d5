"""The golden examples: what was an example once is understood by today's class, whole."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import create_model

from contracts import catalogue, examples, expectations, registry, snapshots, structured
from contracts.envelope import BadEnvelope, Envelope
from contracts.expectations import Expectation
from contracts.inventory import StockRejected
from contracts.message import Message

ALL = sorted(registry.all_messages().values(), key=lambda message: message.type_name())
ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("services/*/tests/expects", "libs/chassis/tests/expects", "examples/*/expects")
EXPECTATIONS = [
    expectation
    for folder in sorted(folder for pattern in FOLDERS for folder in ROOT.glob(pattern))
    for expectation in expectations.load(
        folder.parents[1].name if folder.parent.name == "tests" else folder.parent.name, folder
    )
]


@pytest.mark.parametrize("message", ALL, ids=lambda m: m.type_name())
def test_every_golden_example_is_understood(message: type[Message]) -> None:
    assert examples.faults(message) == []
    assert len(examples.golden_examples(message)) == len(snapshots.snapshots(message))


@pytest.mark.parametrize(
    ("original", "decoded", "loss"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "$.b was lost"),
        ({"a": [{"b": 1}]}, {"a": [{"b": "1"}]}, "$.a[0].b was 1"),
        ({"a": [1, 2]}, {"a": [1]}, "$.a was [1, 2]"),
    ],
)
def test_a_value_that_decoding_changes_is_reported(original: Any, decoded: Any, loss: str) -> None:
    assert any(loss in found for found in examples.lost_values(original, decoded))


def test_a_class_that_no_longer_reads_its_past_is_refused(tmp_path: Path) -> None:
    snapshots.write(StockRejected, tmp_path / "schemas", tmp_path / "examples")
    (file,) = (tmp_path / "examples").glob("*/0001.json")
    assert examples.faults(StockRejected, tmp_path / "examples") == []
    content = file.read_bytes()
    for old, new, loss in (
        (b'"insufficient"', b'"too_few"', "reason"),
        (b'"shortages"', b'"lacking"', "$.lacking was lost"),
        (b"inventory.StockRejected", b"inventory.StockRefused", "is a cartwright"),
        (b'"sequence":1', b'"sequence":"x"', "invalid literal"),
    ):
        file.write_bytes(content.replace(old, new))
        assert any(loss in fault for fault in examples.faults(StockRejected, tmp_path / "examples"))


def test_files_carry_the_very_bytes_of_the_broker() -> None:
    for message in ALL:
        # An older example lacks what was added to its class since.
        (*_, document) = examples.golden_examples(message)
        envelope, data = structured.read(document)
        assert message.decode(data).encode() == data
        assert structured.write(envelope, data) == document.strip()
        assert Envelope.of(envelope.headers()) == envelope


def test_bytes_survive_whatever_they_look_like() -> None:
    (document, *_) = examples.golden_examples(StockRejected)
    envelope, _ = structured.read(document)
    for data in (b'{"a": 1.0 , "b":"\\u00e9\xc3\xa9}"}', b"{}", b'{"data":{"data":[1,2]}}'):
        assert structured.read(structured.write(envelope, data)) == (envelope, data)
    page = b'{"items": [%s , %s], "next": "x"}' % (document.strip(), document.strip())
    assert structured.read_batch(page, "items") == [structured.read(document)] * 2
    assert structured.read_batch(b'{"items": []}', "items") == []


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{", b'{"a" 1}', b'{"id":"x"}', b'{"data":{}}', b"{} {}", b"\xff"]
)
def test_what_is_no_message_is_refused(document: bytes) -> None:
    with pytest.raises(BadEnvelope):
        structured.read(document)
    with pytest.raises(BadEnvelope):
        structured.read_batch(document, "items")


def test_a_message_is_found_by_each_of_its_names() -> None:
    names = ("orders.OrderPlaced", "orders.OrderPlaced.v1", "cartwright.orders.OrderPlaced.v1")
    found = {entry.name for name in names if (entry := catalogue.find(name))}
    assert found == {"orders.OrderPlaced.v1"}
    assert catalogue.find("orders.OrderPlaces") is None


@pytest.mark.parametrize("expectation", EXPECTATIONS, ids=lambda e: f"{e.consumer}-{e.name}")
def test_every_producer_satisfies_its_consumers(expectation: Expectation) -> None:
    assert expectations.unmet(expectation) == []


def test_every_consumer_declares_its_expectations() -> None:
    """The chassis handles revoked tokens for every service, and declares what it reads of them."""
    consumed = {
        (consumer, entry.name) for entry in catalogue.entries() for consumer in entry.consumers
    }
    declared = {(each.consumer, each.name) for each in EXPECTATIONS}
    assert {
        (consumer, name)
        for consumer, name in consumed - declared
        if ("chassis", name) not in declared
    } == set()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("orders.OrderPlaced.v1", {"gift": True}, "gift: Extra inputs"),
        ("orders.OrderPlaced.v1", {"total": {"amount": "much"}}, "total.amount"),
        ("orders.OrderPlaced.v1", {"lines": [{"weight": 1}]}, "lines.0.weight"),
        ("orders.OrderCancelled.v1", {"reason": "bored"}, "reason"),
        ("orders.OrderShrunk.v1", {}, "no service sends"),
    ],
)
def test_an_unmet_expectation_is_reported(name: str, data: Any, reason: str) -> None:
    (fault, *_) = expectations.unmet(Expectation("warehouse", name, data))
    assert fault.startswith("warehouse expects")
    assert reason in fault


def test_a_change_that_a_consumer_relies_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer drops the shortages and names the reason otherwise: orders reads both."""
    (relied,) = [each for each in EXPECTATIONS if each.name == "inventory.StockRejected.v1"]
    entry = catalogue.find(relied.name)
    assert entry is not None
    fields: dict[str, Any] = {"order_id": (str, ...), "reason": (Literal["no"], ...)}
    changed = create_model("StockRejected", __base__=Message, **fields)
    registry.MESSAGES.pop(changed.type_name())
    other = catalogue.Entry(changed, "", "", (), (), {}, entry.example)
    monkeypatch.setattr(catalogue.Entry, "name", relied.name)
    monkeypatch.setattr(catalogue, "find", lambda _: other)
    assert any("reason" in fault for fault in expectations.unmet(relied))


def test_a_message_sent_without_an_expected_field_is_noticed() -> None:
    expected = {"order_id": "x", "lines": [{"quantity": 1}], "note": None}
    assert expectations.missing({**expected, "more": 1}, expected) == []
    assert expectations.missing({"order_id": "x", "lines": []}, expected) == ["$.note"]
    sent = json.loads('{"order_id": "x", "lines": [{"quantity": "1"}], "note": "n"}')
    assert expectations.missing(sent, expected) == ["$.lines[0].quantity is '1', not like 1"]
