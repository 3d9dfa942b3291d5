"""A route declares its refusals: none of a service is missing, and each declared one is raised."""

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from chassis.errors import Gone, Invalid, Problem, Refused
from chassis.openapi import document
from chassis.ops.routes import router as of_operators
from suite import repository

ROOT = repository.ROOT
CHASSIS = ROOT / "libs/chassis/chassis"
SERVICES = repository.services(ROOT)
# General ones, of which services derive their own.
GENERAL = {Problem, Gone, Invalid, Refused}


def kinds(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """A refusal's class and all that derive from it."""
    yield of
    for derived in of.__subclasses__():
        yield from kinds(derived)


def defined_in(package: str) -> set[type[Problem]]:
    """The refusals that a package defines."""
    return {each for each in kinds() if each.__module__.partition(".")[0] == package}


def declared_in(service: str) -> set[type[Problem]]:
    """The classes that the routes of a service declare, the operator's routes included."""
    routers = [*importlib.import_module(f"{service}.main").service.routers, of_operators]
    routes = (route for router in routers for route in iter_route_contexts(router.routes))
    return {
        each for route in routes for each in document.declared_on(route) if isinstance(each, type)
    }


def raised_in(source: str) -> set[str]:
    """The names that a module uses outside imports, `except`, constants and declarations."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Assign | ast.AnnAssign)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = [
                each for each in node.decorator_list if "refuses" not in ast.unparse(each)
            ]
        elif isinstance(node, ast.ExceptHandler):
            node.type = None
    names = (getattr(node, "id", getattr(node, "attr", None)) for node in ast.walk(tree))
    return {name for name in names if name}


@functools.cache
def raised(folder: Path) -> set[str]:
    """The names that the modules of a folder use in this way."""
    return {name for file in folder.rglob("*.py") for name in raised_in(file.read_text())}


@pytest.mark.parametrize("service", SERVICES)
def test_every_refusal_of_a_service_is_declared_by_a_route(service: str) -> None:
    declared = declared_in(service)
    assert defined_in(service) - declared == set()


def test_every_refusal_of_the_chassis_is_declared_by_a_route() -> None:
    always = (*document.OF_ROUTES, *document.OF_BODY)
    declared: set[type[Problem]] = {each for each in always if isinstance(each, type)}
    for service in SERVICES:
        declared |= declared_in(service)
    assert defined_in("chassis") - declared - GENERAL == set()


@pytest.mark.parametrize("service", SERVICES)
def test_every_declared_refusal_is_raised(service: str) -> None:
    names = raised(ROOT / "services" / service / service) | raised(CHASSIS)
    assert {each.__name__ for each in declared_in(service)} - names == set()


def test_a_declaration_alone_raises_nothing() -> None:
    source = """
from orders.domain import Late, Lost, Sent

RULES: Final = (Late,)

@router.get("")
@refuses(*RULES, Sent)
async def get(order: Order) -> None:
    try:
        raise Sent
    except Lost:
        pass
"""
    assert {"Late", "Lost", "Sent"} & raised_in(source) == {"Sent"}
