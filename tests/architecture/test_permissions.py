"""Each permission opens operations, and each operation requires a permission that exists."""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from api_rules import operations

from suite import api_document, repository

ROOT = Path(__file__).resolve().parents[2]
SERVICES = repository.services(ROOT)
MIGRATIONS = sorted((ROOT / "services/identity/migrations").glob("[0-9]*.py"))


def known_permissions() -> Iterator[str]:
    """The permissions that identity's migrations fill in, each in a constant of this name."""
    for file in MIGRATIONS:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from getattr(module, "PERMISSIONS", {})


KNOWN = sorted(known_permissions())


@pytest.fixture(scope="module")
def opened() -> dict[str, list[str]]:
    """The operations that each permission opens, wholly or for some requests."""
    found: dict[str, list[str]] = {}
    for service, document in api_document.of_services(SERVICES).items():
        for where, operation in operations(document):
            for kind in ("x-permissions", "x-conditional-permissions"):
                for permission in operation.get(kind, ()):
                    found.setdefault(permission, []).append(f"{service}: {where}")
    return found


def opening_nothing(known: Iterable[str], opened: dict[str, list[str]]) -> list[str]:
    """Permissions that no operation requires: enforce or remove them."""
    return [permission for permission in known if not opened.get(permission)]


def test_each_permission_opens_operations(opened: dict[str, list[str]]) -> None:
    assert len(KNOWN) > 20
    assert opening_nothing(KNOWN, opened) == []


def test_each_operation_requires_a_permission_that_exists(opened: dict[str, list[str]]) -> None:
    assert set(opened) - set(KNOWN) == set()


def test_an_operation_that_refunds_requires_orders_refund(opened: dict[str, list[str]]) -> None:
    assert opened["orders:refund"] == [
        "orders: POST /v1/admin/orders/{order_id}/cancellation",
        "orders: POST /v1/admin/orders/{order_id}/review",
        "orders: POST /v1/admin/sagas/{order_id}/compensate",
    ]
    assert "payments: POST /v1/admin/payments/{payment_id}/refunds" in opened["payments:refund"]


def test_a_permission_that_opens_nothing_is_noticed(opened: dict[str, list[str]]) -> None:
    assert opening_nothing(["moon:write", "stock:write"], opened) == ["moon:write"]
