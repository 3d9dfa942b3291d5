"""One OpenAPI document out of many: what clients may call, under names that are unique.

As a program: reads the services' documents, `{"orders": {…}, …}`, and writes the merged one.
"""

import copy
import json
import sys
from typing import Any

from refusals import REFUSALS

Document = dict[str, Any]
Names = dict[
    tuple[str, str], str
]  # (section, name) in a service's document: name in the merged one

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PUBLIC = "/v1/"
PROBLEM = "application/problem+json"
# The gateway's own responses to a request that is valid by the document.
ALWAYS = (400, 401, 429, 431, 500, 502, 503, 504)
WITH_BODY = (408, 413)


def public(document: Document) -> Document:
    """Copy a service's document without the paths the gateway does not route."""
    shown = copy.deepcopy(document)
    paths = shown.get("paths", {})
    shown["paths"] = {path: item for path, item in paths.items() if path.startswith(PUBLIC)}
    shown["components"] = in_use(shown)
    shown["servers"] = [{"url": "/"}]
    return shown


def in_use(document: Document) -> Document:
    """Pick the components that the paths lead to; security schemes are named without reference."""
    sections = document.get("components", {})
    found = {("securitySchemes", name) for name in sections.get("securitySchemes", {})}
    open_ends = references(document["paths"])
    while open_ends:
        section, name = entry = open_ends.pop()
        if entry not in found:
            found.add(entry)
            open_ends |= references(sections[section][name])
    used = {
        section: {name: entry for name, entry in entries.items() if (section, name) in found}
        for section, entries in sections.items()
    }
    return {section: entries for section, entries in used.items() if entries}


def references(node: Any) -> set[tuple[str, str]]:
    """Find every (section, name) that a part of a document refers to."""
    if isinstance(node, list):
        return {found for entry in node for found in references(entry)}
    if isinstance(node, dict):
        return {found for entry in node.values() for found in references(entry)}
    if isinstance(node, str) and node.startswith("#/components/"):
        section, _, name = node.removeprefix("#/components/").partition("/")
        return {(section, name)}
    return set()


def merged(documents: dict[str, Document], unavailable: list[str]) -> Document:
    """Merge public documents, by service; `unavailable` names services that did not answer."""
    missing = f" Not reachable at the moment: {', '.join(unavailable)}." if unavailable else ""
    whole: Document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Cartwright",
            "version": "1",
            "description": f"Every public operation of the shop, service by service.{missing}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [],
        "paths": {},
        "components": {},
    }
    ambiguous = clashes(documents)
    operation_ids: set[str] = set()
    for service, document in documents.items():
        own = renamed(document, names_for(service, document, ambiguous))
        for section, entries in own.get("components", {}).items():
            known = whole["components"].setdefault(section, {})
            known.update({name: entry for name, entry in entries.items() if name not in known})
        for path in own["paths"]:
            placed = whole["paths"].setdefault(path, {})
            placed.update(as_part_of_whole(service, own, path, operation_ids))
        whole["tags"] += [
            {"name": tag, "description": f"Served by {service}."}
            for tag in tags_of(own)
            if all(tag != known["name"] for known in whole["tags"])
        ]
    whole["tags"].sort(key=lambda tag: audience(tag["name"]))
    add_refusals(whole)
    return whole


def audience(tag: str) -> int:
    """Whom a group of operations is for: customers first, then staff, then operators."""
    return tag.startswith("admin_") + tag.startswith("admin_ops_")


def clashes(documents: dict[str, Document]) -> set[tuple[str, str]]:
    """Find the components that services define differently under one name.

    What they define alike is shared, unless it refers to something that clashes. A problem's code
    means the same everywhere; the first one's text is its example.
    """
    entries: dict[tuple[str, str], list[Any]] = {}
    for document in documents.values():
        for section, named in document.get("components", {}).items():
            for name, entry in named.items():
                if section == "examples" and name.islower():
                    continue
                entries.setdefault((section, name), []).append(entry)
    shared = {key: found for key, found in entries.items() if len(found) > 1}
    clashing = {
        key for key, found in shared.items() if any(entry != found[0] for entry in found[1:])
    }
    while more := {
        key
        for key, found in shared.items()
        if key not in clashing and references(found[0]) & clashing
    }:
        clashing |= more
    return clashing


def names_for(service: str, document: Document, ambiguous: set[tuple[str, str]]) -> Names:
    """Name each component: its own name, with the service's before it where it is ambiguous."""
    names = {
        (section, name): name
        for section, entries in document.get("components", {}).items()
        for name in entries
    }
    for section, name in ambiguous & set(names):
        names[section, name] = f"{service.capitalize()}{name[:1].upper()}{name[1:]}"
    return names


def renamed(document: Document, names: Names) -> Document:
    """Copy a document with its components, and all that refers to them, under their new names."""
    own: Document = with_references(document, names)
    own["components"] = {
        section: {names[section, name]: entry for name, entry in entries.items()}
        for section, entries in own.get("components", {}).items()
    }
    for name, schema in own["components"].get("schemas", {}).items():
        if "title" in schema:
            # Generators of clients name classes by their titles.
            schema["title"] = name
    return own


def with_references(node: Any, names: Names) -> Any:
    """Copy a part of a document, pointing at the new names."""
    if isinstance(node, list):
        return [with_references(entry, names) for entry in node]
    if isinstance(node, dict):
        return {
            key: [with_schemes(entry, names) for entry in value]
            if key == "security" and isinstance(value, list)
            else with_references(value, names)
            for key, value in node.items()
        }
    if isinstance(node, str) and node.startswith("#/components/"):
        section, _, name = node.removeprefix("#/components/").partition("/")
        return f"#/components/{section}/{names.get((section, name), name)}"
    return node


def with_schemes(requirement: Document, names: Names) -> Document:
    """Copy a security requirement, which names its scheme without a reference."""
    return {
        names.get(("securitySchemes", name), name): scopes for name, scopes in requirement.items()
    }


def as_part_of_whole(
    service: str, document: Document, path: str, operation_ids: set[str]
) -> Document:
    """Copy a path's operations: each has a tag, an id of its own, and declares who may call it."""
    item = document["paths"][path]
    placed = dict(item)
    for method in METHODS:
        if method not in item:
            continue
        operation = dict(item[method])
        operation.setdefault("tags", [service])
        operation.setdefault("security", document.get("security", []))
        operation_id = operation.get("operationId") or f"{method} {path}"
        if operation_id in operation_ids:
            operation_id = f"{service}_{operation_id}"
        operation_ids.add(operation_id)
        operation["operationId"] = operation_id
        placed[method] = operation
    return placed


def tags_of(document: Document) -> list[str]:
    """List the tags in the order in which the operations bring them."""
    tags = (
        tag
        for item in document["paths"].values()
        for method in METHODS
        for tag in item.get(method, {}).get("tags", [])
    )
    return list(dict.fromkeys(tags))


def add_refusals(whole: Document) -> None:
    """Declare what the gateway answers itself, beside what the services declare."""
    examples = whole["components"].setdefault("examples", {})
    for status in (*ALWAYS, *WITH_BODY):
        code, title, detail = REFUSALS[status]
        value = {"type": f"urn:cartwright:problem:{code}", "title": title, "status": status}
        value |= {"code": code, "detail": detail}
        examples.setdefault(code, {"summary": detail, "value": value})
    schemas = whole["components"].setdefault("schemas", {})
    schemas.setdefault("Problem", {"type": "object", "description": "RFC 9457 problem document."})
    for item in whole["paths"].values():
        for method in set(METHODS) & set(item):
            operation = item[method]
            operation["responses"] = dict(operation.get("responses", {}))
            for status in (*ALWAYS, *(WITH_BODY if "requestBody" in operation else ())):
                refuse(operation["responses"], status)


def refuse(responses: Document, status: int) -> None:
    """Declare one refusal of the gateway among an operation's answers."""
    code, title, _ = REFUSALS[status]
    known = responses.get(str(status), {})
    shown = known.get("content", {}).get(PROBLEM, {}).get("examples", {})
    codes = {code: {"$ref": f"#/components/examples/{code}"}, **shown}
    responses[str(status)] = {
        **known,
        "description": f"{title}: {', '.join(sorted(codes))}",
        "content": {
            PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": codes}
        },
    }


if __name__ == "__main__":
    documents = {service: public(document) for service, document in json.load(sys.stdin).items()}
    json.dump(merged(documents, []), sys.stdout, indent=1)
