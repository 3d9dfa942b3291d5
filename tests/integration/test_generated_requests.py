"""Requests that schemathesis generates against the API document: each is refused clearly, and as documented."""

import asyncio
import copy
import os
from collections.abc import Iterator
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from hostile import faults_of
from invariants import InvariantChecker
from shopfloor import Staff, key

# Of each operation; HOSTILE=all generates more.
REQUESTS = 20 if os.environ.get("HOSTILE") == "all" else 3
AT_ONCE = 16
# A logout that succeeds would end the session that all other requests are sent with.
LOGOUT = "/v1/auth/logout"
CHECKS = [
    not_a_server_error,
    negative_data_rejection,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


def invalid_requests(operation: Any) -> list[Case[Any]]:
    """Requests with something that the operation's schemas forbid; none where nothing is forbidden."""
    cases: list[Case[Any]] = []

    @seed(0)
    @settings(
        max_examples=REQUESTS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def collect(case: Case[Any]) -> None:
        cases.append(case)

    try:
        collect()
    except Unsatisfiable:
        return []
    return cases


def unauthenticated(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what every request here is sent with."""
    changed = copy.deepcopy(document)
    changed["components"].pop("securitySchemes", None)
    for operation in (each for path in changed["paths"].values() for each in path.values()):
        operation.pop("security", None)
        parameters = operation.get("parameters", [])
        operation["parameters"] = [each for each in parameters if each["in"] != "header"]
    return changed


def generated(document: dict[str, Any]) -> Iterator[Case[Any]]:
    """Invalid requests for every operation."""
    schema = schemathesis.openapi.from_dict(unauthenticated(document))
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise result.err()
        yield from invalid_requests(result.ok())


async def test_generated_invalid_requests_are_refused_as_documented(
    http: httpx.AsyncClient,
    staff: Staff,
    api_document: dict[str, Any],
    at_rest: InvariantChecker,
) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)
    faults: list[str] = []

    async def send(case: Case[Any]) -> None:
        headers = {**key(), "If-Match": '"1"', **({} if case.path == LOGOUT else staff.headers)}
        request = case.as_transport_kwargs(base_url=str(http.base_url))
        request["headers"] = {**request["headers"], **headers}
        del request["cookies"]
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        async with at_once:
            answer = await http.request(**request)
        faults.extend(faults_of(answer, f"{case.operation.label}, generated"))
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            faults.extend(f"{case.operation.label}: {each}" for each in group.exceptions)

    cases = await asyncio.to_thread(lambda: list(generated(api_document)))
    assert len(cases) > len(api_document["paths"])
    await asyncio.gather(*(send(case) for case in cases))
    assert not faults, "\n".join([f"{len(faults)} faults", *faults[:50]])
