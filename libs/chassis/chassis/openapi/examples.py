"""Generates examples from schemas, with realistic values by field name."""

from collections.abc import Mapping
from typing import Any

from contracts.samples import SAMPLES

Schema = dict[str, Any]
REFERENCE = "#/components/schemas/"
OF_FORMAT: Mapping[str, Any] = {
    "uuid": "0197f3a2-5c1e-7d40-8b6f-2a9c4e1d7b35",
    "date-time": "2026-03-14T09:26:53Z",
    "date": "2026-03-14",
    "email": "ada@example.com",
    "uri": "https://shop.example.com",
}
OF_TYPE: Mapping[str, Any] = {"boolean": True, "integer": 1, "number": 1.5, "object": {}}


class Examples:
    """Generates examples for the schemas of one document."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        """Take the document's named schemas."""
        self.schemas = schemas
        self.named: dict[str, Schema] = {}

    def of(self, schema: Schema, *, whole: bool) -> Any:
        """An example of a schema: `whole` with every field, as for responses.

        Otherwise with the required fields, and those that have a sample as `Model.field`.
        """
        return self._of(schema, "", whole=whole)

    def _of(self, schema: Schema, name: str, *, whole: bool, inside: tuple[str, ...] = ()) -> Any:
        """An example of a schema found under `name`, inside the named schemas `inside`."""
        if "$ref" in schema:
            model = schema["$ref"].removeprefix(REFERENCE)
            if model in inside:
                return None
            return self._of(
                self.schemas[model], name or model, whole=whole, inside=(*inside, model)
            )
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self._of(choices[0], name, whole=whole, inside=inside)
        if "properties" in schema:
            return self._object(schema, whole=whole, inside=inside)
        if schema.get("type") == "array" and "examples" not in schema:
            return self._array(schema, name, whole=whole, inside=inside)
        return _value(schema, name)

    def _object(self, schema: Schema, *, whole: bool, inside: tuple[str, ...]) -> Schema:
        model = inside[-1] if inside else ""
        fields: dict[str, Schema] = schema["properties"]
        shown = [
            field
            for field in fields
            if whole or field in schema.get("required", ()) or f"{model}.{field}" in SAMPLES
        ]
        made = {}
        for field in shown or list(fields)[:1]:
            known = SAMPLES.get(f"{model}.{field}", ...)
            if known is ... and _takes(fields[field], SAMPLES.get(field, ...)):
                known = SAMPLES[field]
            if known is ...:
                known = self._of(fields[field], field, whole=whole, inside=inside)
            made[field] = known
        return made

    def _array(
        self, schema: Schema, name: str, *, whole: bool, inside: tuple[str, ...]
    ) -> list[Any]:
        """One entry; none for a recursive schema."""
        if isinstance(SAMPLES.get(name), list):
            return list(SAMPLES[name])
        items = schema.get("items", {})
        if items.get("$ref", "").removeprefix(REFERENCE) in inside:
            return []
        return [self._of(items, name, whole=whole, inside=inside)]


def _takes(schema: Schema, sample: Any) -> bool:
    """Whether a field accepts a sample that is null or an object, without validating it."""
    choices = schema.get("anyOf", [schema])
    if sample is None:
        return {"type": "null"} in choices
    return isinstance(sample, dict) and all("$ref" not in each for each in choices)


def _value(schema: Schema, name: str) -> Any:
    """An example of a plain value: the sample of its field's name, if its type fits."""
    known = SAMPLES.get(name)
    kind = schema.get("type")
    given = schema.get("examples") or ([schema["const"]] if "const" in schema else None)
    given = given or schema.get("enum")
    if given:
        return known if known in given else given[0]
    if "format" in schema:
        return OF_FORMAT.get(schema["format"], schema["format"])
    if isinstance(known, _kinds(kind)):
        return known
    if kind == "string":
        return name.replace("_", " ").capitalize() or "text"
    return max(1, int(schema.get("minimum", 1))) if kind == "integer" else OF_TYPE.get(str(kind))


def _kinds(kind: Any) -> tuple[type, ...]:
    kinds: Mapping[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "object": (dict,),
    }
    return kinds.get(str(kind), (object,))
