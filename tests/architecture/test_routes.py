"""Every public route is reached through the gateway, leads to its own service, and needs no thread."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir())


def gateway_routes() -> ModuleType:
    """The gateway's table."""
    spec = importlib.util.spec_from_file_location("routes", ROOT / "deploy/gateway/routes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public_paths(service: str) -> set[str]:
    """The paths a service offers to clients."""
    routers = importlib.import_module(f"{service}.main").service.routers
    paths = {
        route.path for router in routers for route in router.routes if isinstance(route, APIRoute)
    }
    return {path for path in paths if path.startswith("/v1/")}


def covering(path: str, table: dict[str, tuple[str, ...]]) -> str | None:
    """The service whose longest prefix covers a path."""
    found = [
        (len(prefix), service)
        for service, prefixes in table.items()
        for prefix in prefixes
        if path == prefix or path.startswith(prefix + "/")
    ]
    return max(found)[1] if found else None


@pytest.mark.parametrize("service", SERVICES)
def test_every_public_route_is_reached_through_the_gateway(service: str) -> None:
    table = {
        name: (*prefixes, f"/v1/admin/ops/{name}")
        for name, prefixes in gateway_routes().PREFIXES.items()
    }
    astray = {path: covering(path, table) for path in public_paths(service)}
    assert {path: found for path, found in astray.items() if found != service} == {}


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
