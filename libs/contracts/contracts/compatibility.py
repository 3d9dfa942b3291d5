"""The compatibility gate: which changes of a JSON Schema a major version allows.

Rules: old data must satisfy the new schema (a consumer deployed first) and new data the old one
with unknown fields ignored (a producer deployed first). So only optional fields may be added;
nothing is removed, renamed, narrowed or widened. Confluent calls this FULL_TRANSITIVE.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "format",
    "const",
    "default",
    "multipleOf",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
# No message uses these keywords; they are compared for equality only.
COMPARED_FOR_EQUALITY = (
    "allOf",
    "oneOf",
    "not",
    "prefixItems",
    "patternProperties",
    "propertyNames",
    "if",
)


def breaks(old: Schema, new: Schema) -> list[str]:
    """Why `new` is incompatible with `old`, each as `path: reason`; empty when it is compatible."""
    return list(_compare(old, new, old, new, "$", frozenset()))


def _resolve(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]] | beside
    return schema


def _compare(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str, seen: frozenset[str]
) -> Iterator[str]:
    reference = f"{old.get('$ref')}>{new.get('$ref')}"
    if reference in seen and "$ref" in old:
        return
    seen |= {reference}
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    if old.get("type") != new.get("type"):
        yield f"{path}: the type changed from {old.get('type')} to {new.get('type')}"
        return
    for bound in (*BOUNDS, *COMPARED_FOR_EQUALITY):
        if old.get(bound) != new.get(bound):
            yield f"{path}: {bound} changed from {old.get(bound)} to {new.get(bound)}"
    if sorted(map(str, old.get("enum", []))) != sorted(map(str, new.get("enum", []))):
        yield f"{path}: the allowed values changed"
    yield from _compare_properties(old, new, old_root, new_root, path, seen)
    yield from _compare_alternatives(old, new, old_root, new_root, path, seen)
    for inner in ("items", "additionalProperties"):
        before, after = old.get(inner), new.get(inner)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _compare(before, after, old_root, new_root, f"{path}[]", seen)
        elif before != after:
            yield f"{path}: {inner} changed"


def _compare_properties(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str, seen: frozenset[str]
) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before.keys() - after.keys():
        yield f"{path}.{name}: the field was removed"
    for name in after.keys() - before.keys():
        if name in new.get("required", ()):
            yield f"{path}.{name}: a new field must be optional"
    for name in sorted(before.keys() & after.keys()):
        was, is_now = (name in schema.get("required", ()) for schema in (old, new))
        if was != is_now:
            yield f"{path}.{name}: the field is {'no longer' if was else 'now'} required"
        yield from _compare(before[name], after[name], old_root, new_root, f"{path}.{name}", seen)


def _compare_alternatives(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str, seen: frozenset[str]
) -> Iterator[str]:
    before, after = old.get("anyOf", []), new.get("anyOf", [])
    if len(before) != len(after):
        yield f"{path}: the alternatives changed"
        return
    for one, other in zip(before, after, strict=True):
        yield from _compare(one, other, old_root, new_root, path, seen)
