"""Every public route of every service is reached through the gateway, and leads to its own service."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
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
    table = gateway_routes().PREFIXES
    astray = {path: covering(path, table) for path in public_paths(service)}
    assert {path: found for path, found in astray.items() if found != service} == {}
