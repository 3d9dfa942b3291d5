"""Completes FastAPI's document: names, summaries, examples and every refusal."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, get_args, get_origin

from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import BaseModel
from starlette.routing import BaseRoute

from chassis import auth, driver_errors, errors, problems
from chassis.openapi import refusals
from chassis.openapi.examples import REFERENCE, Examples
from chassis.openapi.names import group
from chassis.openapi.refusals import Refusal

Document = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"
FIRST_SENTENCE = re.compile(r"[.;](?=\s)|\n")

ALWAYS = (refusals.of_class(errors.Problem, detail="Something went wrong on our side."),)
OF_INPUT = (refusals.of_class(errors.Invalid, detail="Some fields break a rule; see errors."),)
OF_BODY = (
    *OF_INPUT,
    refusals.of_class(errors.Malformed),
    refusals.of_class(errors.Malformed, "malformed_json", "The body is not JSON."),
    refusals.of_class(errors.TooLarge),
    refusals.of_class(errors.WrongContentType),
)


def describe(document: Document, routes: Sequence[BaseRoute]) -> None:
    """Complete FastAPI's document of these routes, in place."""
    schemas = document.get("components", {}).get("schemas", {})
    _rename_by_title(document, schemas)
    samples = Examples(schemas)
    found = [route for route in iter_route_contexts(routes) if _is_shown(route)]
    code = refusals.Code({(route.endpoint or describe).__module__ for route in found})
    declared: set[Refusal] = set()
    for route in found:
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            # Every route may meet a database outage.
            calls = [driver_errors.as_problem, *_calls(route.dependant)]
            declared |= _complete(operation, route, calls, samples, code)
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
    """The endpoint, all its dependencies, and the validators of its body."""
    if dependant.call is not None:
        yield dependant.call
    for body in dependant.body_params:
        yield from _validators(body.field_info.annotation)
    for inner in dependant.dependencies:
        yield from _calls(inner)


def _validators(hint: Any, rules: Sequence[Any] = ()) -> Iterable[Any]:
    """The validators of a type and, for models, of their fields: some refuse."""
    if get_origin(hint) is Annotated:
        rules = [*rules, *hint.__metadata__]
    yield from (rule.func for rule in rules if hasattr(rule, "func"))
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        for field in hint.model_fields.values():
            yield from _validators(field.annotation, field.metadata)
    for part in get_args(hint):
        yield from _validators(part)


def _complete(
    operation: Document,
    route: RouteContext,
    calls: list[Any],
    samples: Examples,
    code: refusals.Code,
) -> set[Refusal]:
    """Complete one operation; returns its refusals."""
    text = operation.get("description") or ""
    operation["summary"] = FIRST_SENTENCE.split(text, maxsplit=1)[0].rstrip(".")
    if operation["summary"] == text.rstrip("."):
        operation.pop("description", None)
    operation["tags"] = [group(route.path_format or "")]
    _require(operation.get("parameters", []))
    _secure(operation, calls)
    _add_examples(operation, samples)
    refused = {refusals.FAULT, *code.refusals(calls)}
    if "requestBody" in operation:
        refused |= set(OF_BODY)
    elif operation.get("parameters"):
        refused |= set(OF_INPUT)
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
