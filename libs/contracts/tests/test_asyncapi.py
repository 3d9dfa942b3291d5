"""The AsyncAPI document: made from the contracts, valid by the official schema, and current."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from contracts import asyncapi, catalogue, examples, registry, structured
from contracts.catalogue import Entry

# Unchanged from the npm package @asyncapi/specs 6.11.1 (Apache-2.0): 3.0.0-without-$id.json.
OFFICIAL = Path(__file__).with_name("asyncapi-3.0.0.schema.json")
ENTRIES = catalogue.entries()


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    return Draft7Validator(json.loads(OFFICIAL.read_text()))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.document()


def test_the_tracked_document_is_the_one_of_the_present_contracts() -> None:
    assert asyncapi.is_current()


def test_the_document_is_valid_by_the_official_schema(
    official: Draft7Validator, document: dict[str, Any]
) -> None:
    assert [error.message for error in official.iter_errors(document)] == []


@pytest.mark.parametrize("place", ["asyncapi", "info", "channels.orders.OrderPlaced.adress"])
def test_the_official_schema_refuses_a_document_that_is_wrong(
    official: Draft7Validator, document: dict[str, Any], place: str
) -> None:
    wrong = copy.deepcopy(document)
    if place.startswith("channels"):
        wrong["channels"]["orders.OrderPlaced"]["adress"] = "misspelt"
    else:
        del wrong[place]
    assert not official.is_valid(wrong)


def test_every_message_is_documented_completely(document: dict[str, Any]) -> None:
    messages = document["components"]["messages"]
    assert len(messages) == len(registry.all_messages())
    for message in messages.values():
        assert message["summary"] and message["examples"] and message["x-producers"]
    placed = messages["orders.OrderPlaced.v1"]
    assert placed["x-producers"] == ["orders"]
    assert messages["orders.OrderConfirmed.v1"]["x-consumers"] == [
        "cart",
        "inventory",
        "promotions",
    ]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', text))
    assert references
    for reference in references:
        node = document
        for part in reference.split("/"):
            node = node[part]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_example_is_valid_by_its_schema(entry: Entry) -> None:
    validator = Draft202012Validator(
        entry.schema, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(entry.data)
    assert not validator.is_valid(entry.data | {"news": 1})
    attributes, _ = structured.read(entry.example)
    headers = {"properties": asyncapi.ATTRIBUTES, "type": "object"}
    Draft202012Validator(headers).validate(attributes.attributes())


def test_a_message_without_an_example_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "golden_examples", lambda _: [])
    with pytest.raises(ValueError, match="has no example"):
        asyncapi.document()
