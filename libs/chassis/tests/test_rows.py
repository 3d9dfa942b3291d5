"""Statements for any number of rows, on a real PostgreSQL."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    CHAR,
    BigInteger,
    Column,
    DateTime,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.ids import new_id
from chassis.rows import RowArrays
from testkit.harness import Harness

SHELVES = Table(
    "shelves",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("name", String(20)),
    Column("currency", CHAR(3)),
    Column("pieces", BigInteger),
    Column("notes", JSONB),
    Column("counted_at", DateTime(timezone=True)),
    Column("sequence", BigInteger),
    Column("tags", ARRAY(Text)),
)
COLUMNS = ("id", "name", "currency", "pieces", "notes", "counted_at", "sequence")
ROWS = RowArrays(SHELVES, COLUMNS)
MAKE = text(
    "create temporary table shelves (id uuid primary key, name varchar(20), currency char(3), pieces bigint,"
    " notes jsonb, counted_at timestamptz, sequence bigint, tags text[]) on commit drop"
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def shelf(**values: Any) -> SimpleNamespace:
    defaults = {"id": new_id(), "name": "A", "currency": "EUR", "pieces": 1, "notes": {"a": [1]}}
    return SimpleNamespace(**defaults | {"counted_at": NOON, "sequence": 1} | values)


async def stored(tx: Any) -> dict[Any, Any]:
    rows = await tx.execute(text("select * from shelves"))
    return {row["id"]: {name: row[name] for name in COLUMNS} for row in rows.mappings()}


async def test_rows_are_inserted_updated_and_upserted(sample: Harness[Any]) -> None:
    first, second = shelf(), shelf(name="B", notes=None)
    async with sample.transaction() as tx:
        await tx.execute(MAKE)
        await tx.execute(text(ROWS.insert()), ROWS.parameters([first, vars(second)]))
        assert await stored(tx) == {first.id: vars(first), second.id: vars(second)}

        counted = RowArrays(SHELVES, ("id", "pieces"), prefix="c_")
        update = text(counted.update_rows("id", also="name = upper(shelves.name || 'x')"))
        await tx.execute(update, counted.parameters([{"id": first.id, "pieces": 7}]))
        assert (await stored(tx))[first.id] == vars(first) | {"pieces": 7, "name": "AX"}
        assert (await stored(tx))[second.id] == vars(second)

        upsert = text(ROWS.upsert_rows("id", newer_by="sequence"))
        newer = shelf(id=first.id, sequence=2, notes=["new"])
        older = shelf(id=second.id, sequence=1, name="old")
        third = shelf()
        await tx.execute(upsert, ROWS.parameters([newer, older, third]))
        assert await stored(tx) == {
            first.id: vars(newer), second.id: vars(second), third.id: vars(third)
        }  # fmt: skip


async def test_no_rows_change_nothing(sample: Harness[Any]) -> None:
    async with sample.transaction() as tx:
        await tx.execute(MAKE)
        await tx.execute(text(ROWS.insert(also={"tags": "array['x']"})), ROWS.parameters([]))
        assert await stored(tx) == {}


def test_an_array_column_is_refused() -> None:
    with pytest.raises(TypeError, match="array"):
        RowArrays(SHELVES, ("id", "tags"))
