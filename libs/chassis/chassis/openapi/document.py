"""Completes FastAPI's document: names, summaries, examples and every refusal."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute

from chassis import auth, errors, problems
from chassis.driver_errors import Contention, DatabaseUnavailable
from chassis.errors import Declarable, declared_by
from chassis.openapi.examples import REFERENCE, Examples
from chassis.openapi.names import group

Document = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"
FIRST_SENTENCE = re.compile(r"[.;](?=\s)|\n")

# Every route may meet a fault and a database outage.
OF_ROUTES = (
    errors.Problem("Something went wrong on our side."),
    DatabaseUnavailable,
    Contention,
)
OF_INPUT = (errors.Invalid("Some fields break a rule; see errors."),)
OF_BODY = (
    *OF_INPUT,
    errors.Malformed,
    errors.Malformed("The body is not JSON.", code="malformed_json"),
    errors.TooLarge,
    errors.WrongContentType,
)


class Refusal(NamedTuple):
    """A refusal as the document shows it."""

    status: int
    code: str
    detail: str

    @classmethod
    def of(cls, problem: Declarable) -> "Refusal":
        """The refusal of a class with its default detail, or of an instance."""
        detail = (
            problem.detail
            if isinstance(problem, errors.Problem)
            else (problem.__doc__ or "").split("\n")[0]
        )
        return cls(problem.status, problem.code, detail)


def describe(document: Document, routes: Sequence[BaseRoute]) -> None:
    """Complete FastAPI's document of these routes, in place."""
    schemas = document.get("components", {}).get("schemas", {})
    _rename_by_title(document, schemas)
    samples = Examples(schemas)
    found = [route for route in iter_route_contexts(routes) if _is_shown(route)]
    declared: set[Refusal] = set()
    for route in found:
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            declared |= _complete(operation, route, samples)
    components = document.setdefault("components", {})
    faults = {each.code: _example(each) for each in sorted(declared, reverse=True)}
    components["examples"] = {**samples.named, **faults}


def _rename_by_title(document: Document, schemas: Document) -> None:
    """Name generic models by their titles: `OrderSummaryPage` for `Page_OrderSummary_`."""
    names = {
        name: schema["title"]
        for name, schema in schemas.items()
        if name.endswith("_") and schema["title"] not in schemas
    }
    for name, title in names.items():
        schemas[title] = schemas.pop(name)
    _redirect(document, {REFERENCE + name: REFERENCE + title for name, title in names.items()})


def _redirect(node: Any, moved: dict[str, str]) -> None:
    """Update the references to renamed schemas."""
    for inner in node.values() if isinstance(node, dict) else node:
        if isinstance(inner, dict | list):
            _redirect(inner, moved)
    if isinstance(node, dict) and node.get("$ref") in moved:
        node["$ref"] = moved[node["$ref"]]


def _is_shown(route: RouteContext) -> bool:
    return hasattr(route, "dependant") and route.include_in_schema


def _calls(dependant: Any) -> Iterable[Any]:
    """The endpoint and all its dependencies."""
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def declared_on(route: RouteContext) -> list[Declarable]:
    """The refusals that a route and its dependencies declare."""
    return [each for call in _calls(route.dependant) for each in declared_by(call)]


def _complete(operation: Document, route: RouteContext, samples: Examples) -> set[Refusal]:
    """Complete one operation; returns its refusals."""
    calls = list(_calls(route.dependant))
    text = operation.get("description") or ""
    operation["summary"] = FIRST_SENTENCE.split(text, maxsplit=1)[0].rstrip(".")
    if operation["summary"] == text.rstrip("."):
        operation.pop("description", None)
    operation["tags"] = [group(route.path_format or "")]
    _require(operation.get("parameters", []))
    _secure(operation, calls)
    _add_examples(operation, samples)
    declared = [*OF_ROUTES, *declared_on(route)]
    if "requestBody" in operation:
        declared += OF_BODY
    elif operation.get("parameters"):
        declared += OF_INPUT
    refused = {Refusal.of(each) for each in declared}
    _refuse(operation, refused)
    return refused


def _require(parameters: list[Document]) -> None:
    """Mark headers as required whose absence is refused by a problem of its own."""
    for parameter in parameters:
        schema = parameter["schema"]
        if schema.pop("x-needed", False):
            parameter["required"] = True
            choices = schema.pop("anyOf", [schema])
            schema.update(choices[0])
            schema.pop("default", None)


def _secure(operation: Document, calls: list[Any]) -> None:
    """Declare whether a token is required, optional or ignored, and which permissions it needs.

    `x-permissions` lists the required permissions, `x-conditional-permissions` those that some
    requests need as well, `x-calling-services` the services that may call.
    """
    if "security" in operation and auth.caller not in calls and auth.service_caller not in calls:
        operation["security"] = [{}, *operation["security"]]
    operation.setdefault("security", [])
    if permissions := sorted(
        {auth.PERMISSIONS[call] for call in calls if call in auth.PERMISSIONS}
    ):
        operation["x-permissions"] = permissions
        needed = " and ".join(f"`{each}`" for each in permissions)
        described = operation.get("description") or f"{operation['summary']}."
        operation["description"] = f"{described}\n\nNeeds the permission {needed}."
    if conditional := {
        auth.CONDITIONAL_PERMISSIONS[call] for call in calls if call in auth.CONDITIONAL_PERMISSIONS
    }:
        operation["x-conditional-permissions"] = sorted(conditional)
    if callers := {name for call in calls for name in auth.CALLING_SERVICES.get(call, ())}:
        operation["x-calling-services"] = sorted(callers)


def _add_examples(operation: Document, samples: Examples) -> None:
    """Add an example to the request and every response, unless it has one."""
    _add_example(operation.get("requestBody", {}), samples, whole=False)
    for status, answer in operation["responses"].items():
        if answer.get("description") in ("Successful Response", None):
            answer["description"] = HTTPStatus(int(status)).phrase
        _add_example(answer, samples, whole=True)


def _add_example(part: Document, samples: Examples, *, whole: bool) -> None:
    """Reference the example of a named schema; add any other inline."""
    shown = part.get("content", {}).get(JSON)
    if not shown or "example" in shown or "examples" in shown:
        return
    model = shown["schema"].get("$ref", "").removeprefix(REFERENCE)
    if not model:
        shown["example"] = samples.of(shown["schema"], whole=whole)
        return
    if model not in samples.named:
        samples.named[model] = {"value": samples.of(shown["schema"], whole=whole)}
    shown["examples"] = {model: {"$ref": f"#/components/examples/{model}"}}


def _refuse(operation: Document, refused: set[Refusal]) -> None:
    """Declare each refusal by its code, under its status."""
    operation["responses"].pop("default", None)
    for status in sorted({each.status for each in refused}):
        codes = sorted({each.code for each in refused if each.status == status})
        operation["responses"][str(status)] = {
            "description": f"{problems.TITLES[status]}: {', '.join(codes)}",
            "content": {
                PROBLEM: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {each: {"$ref": f"#/components/examples/{each}"} for each in codes},
                }
            },
        }


def _example(refusal: Refusal) -> Document:
    """An example of the problem document."""
    return {
        "summary": refusal.detail,
        "value": {
            "type": f"urn:cartwright:problem:{refusal.code}",
            "title": problems.TITLES[refusal.status],
            "status": refusal.status,
            "code": refusal.code,
            "detail": refusal.detail,
            "request_id": "0197f3a2-5c1e-7d40-8b6f-2a9c4e1d7b35",
        },
    }
