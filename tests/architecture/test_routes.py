"""Every public route is reached through the gateway, leads to its own service, and needs no thread."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from suite import repository, service_list
from suite.service_list import Entry

SERVICES = service_list.load(repository.ROOT)


def public_paths(service: str) -> set[str]:
    """The paths a service offers to clients."""
    routers = importlib.import_module(f"{service}.main").service.routers
    paths = {
        route.path for router in routers for route in router.routes if isinstance(route, APIRoute)
    }
    return {path for path in paths if path.startswith("/v1/")}


def covering(path: str, services: Mapping[str, Entry]) -> tuple[str, str]:
    """The longest prefix that covers a path, and its service; empty without one."""
    return max(
        (
            (prefix, name)
            for name, each in services.items()
            for prefix in (*each.routes, f"/v1/admin/ops/{name}")
            if path == prefix or path.startswith(prefix + "/")
        ),
        key=lambda found: len(found[0]),
        default=("", ""),
    )


@pytest.mark.parametrize("service", SERVICES)
def test_every_public_route_is_reached_through_the_gateway(service: str) -> None:
    owners = {path: covering(path, SERVICES)[1] for path in public_paths(service)}
    assert {path: owner for path, owner in owners.items() if owner != service} == {}


def leading_nowhere(services: Mapping[str, Entry], paths: Iterable[str]) -> set[str]:
    """Prefixes of the gateway below which no route is served."""
    used = {covering(path, services)[0] for path in paths}
    return {prefix for each in services.values() for prefix in each.routes} - used


def test_every_prefix_of_the_gateway_leads_to_a_route() -> None:
    paths = {path for service in SERVICES for path in public_paths(service)}
    assert leading_nowhere(SERVICES, paths) == set()
    planted = SERVICES | {"moon": Entry(name="moon", routes=("/v1/moon", "/v1/carts/moon"))}
    assert leading_nowhere(planted, paths) == {"/v1/moon", "/v1/carts/moon"}


def called_by(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """What answering a route calls: its dependencies at any depth, and the route's own function."""
    for inner in dependant.dependencies:
        yield from called_by(inner)
    if dependant.call is not None:
        yield dependant.call


def runs_in_a_thread(function: Callable[..., Any]) -> bool:
    """Whether FastAPI would send it to its thread pool, as it does with what is not async."""
    called = function if inspect.isroutine(function) else type(function).__call__
    return not (inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called))


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_waits_for_a_thread(service: str) -> None:
    routers = importlib.import_module(f"{service}.main").service.routers
    routes = [route for each in routers for route in each.routes if isinstance(route, APIRoute)]
    threaded = {
        f"{route.path}: {function.__module__}.{function.__qualname__}"
        for route in routes
        for function in called_by(route.dependant)
        if runs_in_a_thread(function)
    }
    assert threaded == set()


def test_a_function_that_is_not_async_would_be_noticed() -> None:
    def plain() -> None:
        """A dependency as one writes it without thinking."""

    async def good() -> None:
        """A dependency as it should be."""

    assert runs_in_a_thread(plain)
    assert not runs_in_a_thread(good)
