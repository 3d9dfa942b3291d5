"""The API's document: every operation has a name, a description, an example and its errors."""

import copy
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from api_rules import (
    JSON,
    RULES,
    dangling,
    open_to_anyone,
    operations,
    silent_errors,
    unclear_names,
    untold,
    without_examples,
)
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter, ValidationError

from chassis.openapi import operation_id
from suite import api_document, repository

ROOT = Path(__file__).resolve().parents[2]
SERVICES = repository.services(ROOT)
PLACE = ("/v1/orders", "post")

Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    return api_document.of_services(SERVICES)


@pytest.fixture(scope="module")
def whole(documents: dict[str, Document]) -> Document:
    return api_document.merged(ROOT, documents)


@pytest.fixture
def invalid(whole: Document) -> Document:
    """A copy to plant a defect in."""
    return copy.deepcopy(whole)


@pytest.mark.parametrize("rule", RULES)
def test_every_operation_follows_the_rules(rule: Any, whole: Document) -> None:
    assert rule(whole) == []


def test_the_rules_see_what_they_look_for(invalid: Document) -> None:
    path, method = PLACE
    place = invalid["paths"][path][method]
    place["operationId"] = "orders_list"
    place["summary"] = "Check out a cart."
    del place["requestBody"]["content"][JSON]["examples"]
    del place["responses"]["429"]
    place["responses"]["409"]["content"] = {}
    place["responses"]["202"]["content"][JSON]["schema"]["$ref"] = "#/components/schemas/Ordr"
    del invalid["paths"]["/v1/admin/orders"]["get"]["x-permissions"]
    where = "POST /v1/orders"
    assert f"{where}: orders_list" in unclear_names(invalid)
    assert open_to_anyone(invalid) == ["GET /v1/admin/orders"]
    assert untold(invalid) == [f"{where}: 'Check out a cart.'"]
    assert without_examples(invalid) == [f"{where}: request as {JSON}"]
    assert set(silent_errors(invalid)) == {f"{where}: 429", f"{where}: 409 names no code"}
    assert dangling(invalid) == ["#/components/schemas/Ordr"]


def test_a_code_that_has_another_status_elsewhere_is_seen(invalid: Document) -> None:
    answers = invalid["paths"]["/v1/orders"]["get"]["responses"]
    answers["403"] = copy.deepcopy(answers["401"])
    assert any("is another status elsewhere" in found for found in silent_errors(invalid))


def test_clients_can_rely_on_the_names_of_operations(whole: Document) -> None:
    tracked = (ROOT / api_document.INDEX).read_text()
    assert tracked == api_document.index(whole), "`make openapi` writes it; read what has changed"


def shown(part: Document, whole: Document) -> Any:
    """The example of a request."""
    content = part["content"][JSON]
    if "example" in content:
        return content["example"]
    (reference,) = [each["$ref"] for each in content["examples"].values()]
    return whole["components"]["examples"][reference.rpartition("/")[2]]["value"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_request_that_is_shown_would_be_taken(
    name: str, documents: dict[str, Document]
) -> None:
    """Redocly holds examples against the schemas; only the models know all of their rules."""
    service = importlib.import_module(f"{name}.main").service
    document = documents[name]
    sent = {each["operationId"]: each for _, each in operations(document)}
    refused = {}
    for router in service.routers:
        for route in cast("Iterator[Any]", iter_route_contexts(router.routes)):
            body = route.body_field
            if body is None:
                continue
            example = shown(sent[operation_id(route)]["requestBody"], document)
            try:
                TypeAdapter(body.field_info.annotation).validate_json(dumped(example))
            except ValidationError as error:
                refused[operation_id(route)] = str(error)
    assert refused == {}


def dumped(example: Any) -> bytes:
    return TypeAdapter(Any).dump_json(example)


def test_orders_passes_on_exactly_what_cart_may_refuse_to_lock(
    documents: dict[str, Document],
) -> None:
    """Checkout's errors are its own and the cart's; the list of the latter is written by hand."""
    own = {"401", "403", "413", "415", "500", "503"}
    lock = documents["cart"]["paths"]["/internal/carts/{cart_id}/lock"]["post"]["responses"]
    place = documents["orders"]["paths"]["/v1/orders"]["post"]["responses"]
    refusals = {(s, c) for s, c in codes(lock) if s not in own}
    assert refusals - set(codes(place)) == set()
    alone = {(s, c) for s, c in codes(place) if s not in own} - refusals
    assert {code for _, code in alone} == {
        "bad_idempotency_key",
        "bad_prefer",
        "cart_already_ordered",
        "idempotency_key_missing",
        "idempotency_key_reused",
        "idempotency_key_running",
        "order_not_found",
    }


def codes(responses: Document) -> list[tuple[str, str]]:
    return [
        (status, code)
        for status, part in responses.items()
        if status >= "400"
        for code in part["content"]["application/problem+json"]["examples"]
    ]
