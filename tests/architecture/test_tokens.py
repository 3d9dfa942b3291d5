"""Every service receives token revocations, and every route checks them."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from test_routes import SERVICES, called_by

from chassis import auth, db, migrations, revocations
from chassis.ops import routes
from contracts.identity import RoleTokensRevoked, SessionTokensRevoked, UserTokensRevoked

ROOT = Path(__file__).resolve().parents[2]
REVOKED = {UserTokensRevoked, SessionTokensRevoked, RoleTokensRevoked}
CHECKED_IN = {"libs/chassis/chassis/auth.py"}
STREAMS = re.compile(r"StreamingResponse\(|EventSourceResponse\(")


def sources() -> list[Path]:
    """The code of the chassis and the services, without tests."""
    found = [*ROOT.glob("libs/chassis/chassis/**/*.py"), *ROOT.glob("services/*/*/**/*.py")]
    return [file for file in found if "tests" not in file.parts]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_stores_what_is_revoked(service: str) -> None:
    composed = importlib.import_module(f"{service}.main").service
    handled = {message: composed.bus.batch_handlers.get(message) for message in REVOKED}
    # Identity writes the table in the transaction of the change.
    wanted = None if service == "identity" else revocations.store
    assert handled == dict.fromkeys(REVOKED, wanted)
    assert revocations.metadata in migrations._all_of(composed.metadata)


@pytest.mark.parametrize("service", SERVICES)
def test_a_token_is_checked_before_a_connection_is_taken(service: str) -> None:
    """Requests that hold all connections would wait for one that reads which tokens count."""
    composed = importlib.import_module(f"{service}.main").service
    routers = [*composed.routers, routes.router_of(service)]
    found = [route for each in routers for route in each.routes if isinstance(route, APIRoute)]
    late = [route.path for route in found if is_late(list(called_by(route.dependant)))]
    assert late == []


def is_late(calls: list[Callable[..., Any]]) -> bool:
    """Whether the transaction begins before the caller is known."""
    if db.transaction not in calls:
        return False
    before = calls.index(db.transaction)
    return any(check in calls[before:] for check in (auth._maybe_caller, auth.service_caller)) and (
        not any(check in calls[:before] for check in (auth._maybe_caller, auth.service_caller))
    )


def test_tokens_are_verified_in_one_place() -> None:
    """What verifies a token's signature alone would believe one that was revoked."""
    elsewhere = {
        str(file.relative_to(ROOT)) for file in sources() if ".claims(" in file.read_text()
    }
    assert elsewhere == CHECKED_IN


def test_every_stream_checks_whether_its_token_is_still_valid() -> None:
    streaming = [file for file in sources() if STREAMS.search(file.read_text())]
    assert streaming
    assert [file for file in streaming if "is_still_valid(" not in file.read_text()] == []
