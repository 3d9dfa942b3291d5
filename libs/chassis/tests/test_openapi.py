"""The document read off the code: names, refusals wherever they are raised, examples, and a watch."""

from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from fastapi import APIRouter, Depends

from chassis.app import create_app
from chassis.auth import require_permission
from chassis.errors import Invalid, NotFound, Problem, Refused
from chassis.openapi import operation_id, refuses
from chassis.openapi.conformance import Declared
from chassis.openapi.names import group
from chassis.openapi.refusals import Code


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


class JarLocked(Refused):
    """The jar is locked."""

    code = "jar_locked"


MEANING = {"name": NotFound("No such jar.", code="jar_unknown"), "lid": JarLocked}


class Shelf(Protocol):
    def take(self) -> None: ...


class Jar:
    def open_lid(self) -> None:
        raise JarLocked

    @property
    def first_coin(self) -> int:
        raise JarEmpty

    def get(self) -> None:
        raise JarEmpty


class WoodenShelf:
    def take(self) -> None:
        raise Invalid("Too high.", code="out_of_reach")


async def raises_itself() -> None:
    raise JarEmpty


async def gives_a_code(*, late: bool) -> None:
    raise Invalid("It is late.", code="too_late" if late else "too_early")


async def looks_it_up(constraint: str) -> None:
    raise MEANING[constraint]  # type: ignore[misc]


async def calls_another() -> None:
    await raises_itself()


async def knows_the_class(jar: Jar) -> None:
    jar.get()


async def knows_the_variable() -> int:
    jar = Jar()
    return jar.first_coin


async def knows_only_the_name(jar: Any) -> None:
    jar.open_lid()


async def knows_a_protocol(shelf: Shelf) -> None:
    shelf.take()


@refuses(409, "jar_broken")
async def makes_up_its_code(reason: str) -> None:
    raise Refused("It cannot be.", code=f"jar_{reason}")


def with_a_closure() -> Any:
    refusal = JarLocked

    async def inner() -> None:
        raise refusal

    return inner


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (raises_itself, {"jar_empty"}),
        (gives_a_code, {"too_late", "too_early"}),
        (looks_it_up, {"jar_unknown", "jar_locked"}),
        (calls_another, {"jar_empty"}),
        (knows_the_class, {"jar_empty"}),
        (knows_the_variable, {"jar_empty"}),
        (knows_only_the_name, {"jar_locked"}),
        (knows_a_protocol, {"out_of_reach"}),
        (makes_up_its_code, {"jar_broken"}),
        (with_a_closure(), {"jar_locked"}),
    ],
)
def test_a_refusal_is_found_where_it_is_raised(function: Any, wanted: set[str]) -> None:
    assert {each.code for each in Code({__name__}).refusals([function])} == wanted


async def only_checks(error: Exception) -> bool:
    try:
        return isinstance(error, JarEmpty)
    except JarLocked:
        return False


async def takes_from_a_dictionary(coins: dict[str, int], unknown: Any) -> Any:
    return coins.get("a"), unknown.get("b")


@pytest.mark.parametrize("function", [only_checks, takes_from_a_dictionary])
def test_a_problem_that_is_not_raised_is_not_declared(function: Any) -> None:
    assert Code({__name__}).refusals([function]) == set()


router = APIRouter(prefix="/v1/jars")


@router.get("/{jar_id}")
async def get_jar(jar_id: str) -> dict[str, int]:
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
    assert refused["examples"] == {"jar_empty": {"$ref": "#/components/examples/jar_empty"}}
    shown = document["components"]["examples"]["jar_empty"]
    assert shown["summary"] == "There is nothing in the jar."
    assert (shown["value"]["status"], shown["value"]["title"]) == (409, "Conflict")
    assert {"409", "422", "500", "503"} <= set(operation["responses"])


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
