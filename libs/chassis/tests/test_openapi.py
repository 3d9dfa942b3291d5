"""The document read off the routes: names, declared refusals, examples, and a watch."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends

from chassis.app import create_app
from chassis.auth import require_permission
from chassis.errors import NotFound, Problem, Refused, refuses
from chassis.openapi import operation_id
from chassis.openapi.names import group
from testkit.conformance import Declared


@dataclass
class Route:
    path_format: str
    name: str


@pytest.mark.parametrize(
    ("path", "name", "wanted"),
    [
        ("/v1/orders", "place_order", "orders_place"),
        ("/v1/carts/{cart_id}/items", "add_item", "carts_add_item"),
        ("/v1/admin/sagas", "list_sagas", "admin_sagas_list"),
        ("/v1/admin/shipping-methods/{method_id}", "get_method", "admin_shipping_methods_get"),
        ("/v1/admin/ops/orders/outbox", "get_outbox", "admin_ops_orders_get_outbox"),
        ("/v1/me/addresses/{address_id}", "delete_address", "me_delete_address"),
        ("/v1/categories", "list_categories", "categories_list"),
    ],
)
def test_an_operation_is_called_by_what_it_is_about_and_what_it_does(
    path: str, name: str, wanted: str
) -> None:
    assert operation_id(Route(path, name)) == wanted
    assert wanted.startswith(group(path))


class JarEmpty(Refused):
    """There is nothing in the jar."""

    code = "jar_empty"


class JarUnknown(NotFound):
    """There is no such jar."""

    code = "jar_unknown"


router = APIRouter(prefix="/v1/jars")


@refuses(JarUnknown)
async def find_jar(jar_id: str) -> str:
    if jar_id == "unknown":
        raise JarUnknown
    return jar_id


@router.get("/{jar_id}")
@refuses(JarEmpty, Refused("The lid is stuck.", code="lid_stuck"))
async def get_jar(jar_id: Annotated[str, Depends(find_jar)]) -> dict[str, int]:
    """Look into a jar. It stays closed."""
    if jar_id == "broken":
        raise Problem
    raise JarEmpty


@router.get("/all")
async def list_jars() -> dict[str, int]:
    """List the jars."""
    return {}


@router.delete("/{jar_id}/lid", dependencies=[Depends(require_permission("jars:write"))])
async def remove_lid(jar_id: str) -> None:
    """Remove the lid of a jar."""


@pytest.fixture
def document() -> dict[str, Any]:
    return create_app("jars", [router]).openapi()


def test_an_operation_declares_its_errors_with_an_example_of_each(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/jars/{jar_id}"]["get"]
    assert (operation["operationId"], operation["tags"]) == ("jars_get", ["jars"])
    assert operation["summary"] == "Look into a jar"
    assert operation["description"] == "Look into a jar. It stays closed."
    refused = operation["responses"]["409"]["content"]["application/problem+json"]
    assert refused["examples"] == {
        code: {"$ref": f"#/components/examples/{code}"} for code in ("jar_empty", "lid_stuck")
    }
    shown = document["components"]["examples"]["jar_empty"]
    assert shown["summary"] == "There is nothing in the jar."
    assert (shown["value"]["status"], shown["value"]["title"]) == (409, "Conflict")
    assert document["components"]["examples"]["lid_stuck"]["summary"] == "The lid is stuck."
    assert {"404", "409", "422", "500", "503"} <= set(operation["responses"])


def test_an_operation_declares_the_refusals_of_its_dependencies(document: dict[str, Any]) -> None:
    found = document["paths"]["/v1/jars/{jar_id}"]["get"]["responses"]["404"]
    assert found["description"] == "Not found: jar_unknown"
    responses = document["paths"]["/v1/jars/{jar_id}/lid"]["delete"]["responses"]
    assert {"401", "403"} <= set(responses)
    assert "404" not in responses


def test_an_operation_names_the_permission_that_it_needs(document: dict[str, Any]) -> None:
    lid = document["paths"]["/v1/jars/{jar_id}/lid"]["delete"]
    assert lid["x-permissions"] == ["jars:write"]
    assert "Needs the permission `jars:write`." in lid["description"]
    assert "x-permissions" not in document["paths"]["/v1/jars/{jar_id}"]["get"]


def test_an_undeclared_response_is_reported(document: dict[str, Any]) -> None:
    declared = Declared(document)
    assert declared.undeclared("GET", "/v1/jars/7", 200, None) is None
    assert declared.undeclared("GET", "/v1/jars/7", 409, "jar_empty") is None
    assert declared.undeclared("GET", "/v1/jars/7", 409, "jar_locked") == (
        "jars_get refused with 409 jar_locked, which it does not declare"
    )
    assert declared.undeclared("GET", "/v1/jars/7", 201, None) == (
        "jars_get answered 201 (None), which it does not declare"
    )


def test_a_path_that_is_spelt_out_is_the_one_that_is_judged(document: dict[str, Any]) -> None:
    declared = Declared(document)
    assert "jars_list" in str(declared.undeclared("GET", "/v1/jars/all", 409, "jar_empty"))
    assert declared.undeclared("GET", "/v1/jars/all/lids", 404, "not_found") is None
    assert declared.undeclared("DELETE", "/v1/jars/7", 405, "method_not_allowed") is None
    assert declared.undeclared("GET", "/v1/jars/..;", 404, "not_found") is None
    assert declared.undeclared("GET", "/v1/jars/..x", 404, "not_found") is not None
