"""The document is clean in the eyes of others: Redocly finds nothing, and it is valid OpenAPI 3.1."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from suite.sdk import Sdk

ROOT = Path(__file__).resolve().parents[2]
PLACE = ("/v1/orders", "post")

Document = dict[str, Any]


@pytest.fixture(scope="module")
def whole(clients: Sdk) -> Document:
    document: Document = json.loads(clients.document.read_text())
    return document


def test_redocly_finds_nothing(clients: Sdk) -> None:
    assert clients.lint(clients.document) == []


def without_summary(operation: Document) -> None:
    del operation["summary"]


def without_an_error(operation: Document) -> None:
    answers = operation["responses"]
    operation["responses"] = {status: answers[status] for status in answers if status < "400"}


def with_a_wrong_example(operation: Document) -> None:
    operation["requestBody"]["content"]["application/json"]["examples"] = {
        "planted": {"value": {"cart_id": 7}}
    }


def with_a_name_taken(operation: Document) -> None:
    operation["operationId"] = "orders_list"


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (without_summary, "operation-summary"),
        (without_an_error, "operation-4xx-response"),
        (with_a_wrong_example, "no-invalid-media-type-examples"),
        (with_a_name_taken, "operation-operationId-unique"),
    ],
)
def test_redocly_sees_what_it_looks_for(
    spoil: Callable[[Document], None], rule: str, clients: Sdk, whole: Document, tmp_path: Path
) -> None:
    invalid = copy.deepcopy(whole)
    # One path is enough to see a rule at work, and quick.
    invalid["paths"] = {path: invalid["paths"][path] for path in ("/v1/orders",)}
    spoil(invalid["paths"][PLACE[0]][PLACE[1]])
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(invalid))
    assert rule in {found["ruleId"] for found in clients.lint(file)}


def test_it_is_a_valid_document(whole: Document) -> None:
    assert list(OpenAPIV31SpecValidator(whole).iter_errors()) == []


def test_an_invalid_document_is_seen(whole: Document) -> None:
    invalid = copy.deepcopy(whole)
    invalid["paths"] = {"/v1/orders": {"post": {"responses": {"200": {"no": "description"}}}}}
    assert list(OpenAPIV31SpecValidator(invalid).iter_errors())
