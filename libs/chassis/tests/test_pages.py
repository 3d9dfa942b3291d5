"""Cursors: each part is read as the type its list is sorted by, or the cursor is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from chassis.pages import BadCursor, Page, Paging, decode, encode

NOW = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
ONE_OF_EACH = (new_id(), NOW, 7, "Å word")
NO_PART: tuple[Any, ...] = (None, True, False, 1.5, [], {}, "\0", "\ud800")
NO_NUMBER = ("1", 2**63, -(2**63), 10**40)
NO_INSTANT = (
    0,
    "",
    "noon",
    "2026-11-30T12:00:00",
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59+00:00",
    "2200-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59-23:59",
)
NO_ID = (1, "", "x", "00000000-0000-0000-0000-00000000000g")


def paging(*parts: Any) -> Paging:
    return Paging(limit=20, after=list(parts))


@pytest.mark.parametrize("part", ONE_OF_EACH)
def test_a_part_comes_back_as_it_went(part: Any) -> None:
    assert Paging(limit=20, after=decode(encode(part))).position(type(part)) == part


def test_a_position_of_two_parts_is_a_pair() -> None:
    found = Paging(limit=20, after=decode(encode(NOW, "word"))).position(datetime, str)
    assert found == (NOW, "word")
    assert Paging(limit=20, after=None).position(datetime, str) is None


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-11)))
    assert paging(there.isoformat()).position(datetime) == NOW


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        *((kind, part) for kind in (UUID, datetime, int, str) for part in NO_PART),
        *((int, part) for part in NO_NUMBER),
        *((datetime, part) for part in NO_INSTANT),
        *((UUID, part) for part in NO_ID),
    ],
)
def test_a_part_of_another_type_is_refused(kind: Any, part: Any) -> None:
    with pytest.raises(BadCursor):
        paging(part).position(kind)
    with pytest.raises(BadCursor):
        paging("word", part).position(str, kind)


@pytest.mark.parametrize("parts", [(), ("word", "word")])
def test_a_cursor_of_another_length_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(BadCursor):
        paging(*parts).position(str)


def test_a_page_ends_with_the_position_of_its_last_row() -> None:
    rows = [(NOW, new_id()) for _ in range(3)]
    page: Page[str] = Paging(limit=2, after=None).page(rows, lambda row: str(row[1]), lambda r: r)
    assert page.items == [str(row[1]) for row in rows[:2]]
    assert page.next_cursor is not None
    assert paging(*decode(page.next_cursor)).position(datetime, UUID) == rows[1]
