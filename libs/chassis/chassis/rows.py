"""SQL for any number of rows in one statement: each column is one array parameter.

A statement of this shape stays the same for every number of rows, so the server's plan and the
driver's prepared statement are reused. Several can be combined by `with`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ARRAY, CHAR, Column, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import JSON

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class RowArrays:
    """The columns of a table that a statement writes, as array parameters `<prefix><column>`.

    table: the `Table`, which names each column's type; an ARRAY column is not supported.
    columns: the names of the columns, each of which the rows have as an attribute or key.
    prefix: separates the parameters of several tables in one statement.
    """

    table: Table
    columns: Sequence[str]
    prefix: str = ""
    _types: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        types = {name: _type_of(self.table.columns[name]) for name in self.columns}
        object.__setattr__(self, "_types", types)

    def source(self) -> str:
        """The rows as a table expression, `unnest(…) as new(…)`."""
        arrays = ", ".join(
            f"cast(:{self.prefix}{name} as {'text' if kind == 'JSONB' else kind}[])"
            for name, kind in self._types.items()
        )
        return f"unnest({arrays}) as new({', '.join(self.columns)})"

    def parameters(self, rows: Iterable[Any]) -> dict[str, list[Any]]:
        """The values of rows, objects or mappings, as one list for each column."""
        listed = list(rows)
        return {
            f"{self.prefix}{name}": [_value(row, name, self._types[name]) for row in listed]
            for name in self.columns
        }

    def insert(self, also: Mapping[str, str] | None = None) -> str:
        """An `insert`; `also` gives columns that all rows share, as SQL expressions."""
        shared = also or {}
        return (
            f"insert into {self.table.name} ({', '.join([*self.columns, *shared])}) "  # noqa: S608
            f"select {', '.join([*self._new(), *shared.values()])} from {self.source()}"
        )

    def update_rows(self, *key: str, also: str = "") -> str:
        """An `update` of the rows with the same `key`; `also` is a further assignment in SQL."""
        name = self.table.name
        same = " and ".join(f"{name}.{each} = new.{each}" for each in key)
        return (
            f"update {name} set {self._assigned(key, 'new', also)} "  # noqa: S608
            f"from {self.source()} where {same}"
        )

    def upsert_rows(self, *key: str, also: str = "", newer_by: str = "") -> str:
        """An `insert` that updates the rows whose `key` is there already.

        newer_by: a column such as `sequence`; a row stays as it is unless the new value is greater.
        """
        only = f" where {self.table.name}.{newer_by} < excluded.{newer_by}" if newer_by else ""
        return (
            f"{self.insert()} on conflict ({', '.join(key)}) "
            f"do update set {self._assigned(key, 'excluded', also)}{only}"
        )

    def _new(self) -> list[str]:
        return [f"new.{name}{_cast(kind)}" for name, kind in self._types.items()]

    def _assigned(self, key: Sequence[str], source: str, also: str) -> str:
        assigned = [
            f"{name} = {source}.{name}{_cast(kind) if source == 'new' else ''}"
            for name, kind in self._types.items()
            if name not in key
        ]
        return ", ".join([*assigned, also] if also else assigned)


def _type_of(column: Column[Any]) -> str:
    if isinstance(column.type, ARRAY):
        raise TypeError(f"{column} is an array, which unnest would flatten")
    if isinstance(column.type, JSON):
        return "JSONB"
    if isinstance(column.type, CHAR):
        # A cast to CHAR without its length would cut each text down to one character.
        return "TEXT"
    return column.type.compile(_DIALECT).partition("(")[0]


def _cast(kind: str) -> str:
    return "::jsonb" if kind == "JSONB" else ""


def _value(row: Any, name: str, kind: str) -> Any:
    value = row[name] if isinstance(row, Mapping) else getattr(row, name)
    return json.dumps(value) if kind == "JSONB" and value is not None else value
