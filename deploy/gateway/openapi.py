"""One OpenAPI document out of many: what clients may call, under names that are unique."""

import copy
from typing import Any

Document = dict[str, Any]
Names = dict[
    tuple[str, str], str
]  # (section, name) in a service's document: name in the merged one

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PUBLIC = "/v1/"
TOKEN = "accessToken"  # noqa: S105 (a name, not a secret)


def public(document: Document) -> Document:
    """Copy a service's document without the paths the gateway does not route.

    Components are kept even where only those paths used them: they promise nothing.
    """
    shown = copy.deepcopy(document)
    paths = shown.get("paths", {})
    shown["paths"] = {path: item for path, item in paths.items() if path.startswith(PUBLIC)}
    return with_token(shown)


def with_token(document: Document) -> Document:
    """Say where an access token goes, for a document that does not say so itself."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    if not schemes:
        schemes[TOKEN] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        document["security"] = [{}, {TOKEN: []}]
    document["servers"] = [{"url": "/"}]
    return document


def merged(documents: dict[str, Document], away: list[str]) -> Document:
    """Merge public documents, by service; `away` names services that could not be asked."""
    missing = f" Not reachable at the moment: {', '.join(away)}." if away else ""
    whole: Document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Cartwright",
            "version": "1",
            "description": f"Every public operation of the shop, service by service.{missing}",
        },
        "tags": [],
        "paths": {},
        "components": {},
    }
    operation_ids: set[str] = set()
    for service, document in documents.items():
        own = renamed(document, names_for(service, document, whole["components"]))
        for section, entries in own.get("components", {}).items():
            whole["components"].setdefault(section, {}).update(entries)
        for path in own["paths"]:
            placed = whole["paths"].setdefault(path, {})
            placed.update(as_part_of_whole(service, own, path, operation_ids))
    whole["tags"] = [{"name": tag} for tag in tags_of(whole)]
    return with_token(whole)


def names_for(service: str, document: Document, taken: Document) -> Names:
    """Name each component: its own name, unless something else already goes by it.

    What two services define alike is shared. A renamed component changes whatever refers to it,
    so the comparison is repeated until nothing changes.
    """
    sections = document.get("components", {})
    names = {(section, name): name for section, entries in sections.items() for name in entries}
    while True:
        own = renamed(document, names)["components"]
        clashes = [
            (section, name)
            for (section, name), public_name in names.items()
            if name == public_name
            and taken.get(section, {}).get(name, own[section][name]) != own[section][name]
        ]
        if not clashes:
            return names
        for section, name in clashes:
            names[section, name] = f"{service.capitalize()}{name[:1].upper()}{name[1:]}"


def renamed(document: Document, names: Names) -> Document:
    """Copy a document with its components, and all that refers to them, under their new names."""
    own: Document = with_references(document, names)
    own["components"] = {
        section: {names[section, name]: entry for name, entry in entries.items()}
        for section, entries in own.get("components", {}).items()
    }
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
    """Copy a path's operations: tags tell the service, ids are unique, security is explicit."""
    item = document["paths"][path]
    placed = dict(item)
    for method in METHODS:
        if method not in item:
            continue
        operation = dict(item[method])
        operation["tags"] = [
            service if tag == service else f"{service} · {tag}"
            for tag in operation.get("tags") or [service]
        ]
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
