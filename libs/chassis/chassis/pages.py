"""Cursor pagination: opaque cursors, stable under inserts, at most 100 rows per page.

A cursor holds the sort key of the last row on the page. Its parts are typed: a list names the types
it sorts by, and a part of another type, or out of range, is refused as `bad_cursor`.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, overload
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from chassis.errors import Malformed, refuses
from chassis.wire import LARGEST_INTEGER, in_supported_range, storable

MAX_LIMIT = 100
Item = TypeVar("Item")
Row = TypeVar("Row")
Part = UUID | datetime | int | str
First = TypeVar("First", UUID, datetime, int, str)
Second = TypeVar("Second", UUID, datetime, int, str)


class BadCursor(Malformed):
    """The cursor is not valid for this list."""

    code = "bad_cursor"


class Page(BaseModel, Generic[Item]):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name the schema `OrderSummaryPage`, for generated clients."""
        return f"{params[0].__name__}Page"


def _text(part: Any) -> str:
    if not isinstance(part, str):
        raise ValueError("not a text")  # noqa: TRY004  (every fault of a cursor is one error)
    return storable(part)


def _number(part: Any) -> int:
    """Parse an integer that fits a bigint."""
    if not isinstance(part, int) or isinstance(part, bool) or abs(part) > LARGEST_INTEGER:
        raise ValueError("not a number")
    return part


READERS: Mapping[type, Callable[[Any], Part]] = {
    UUID: lambda part: UUID(_text(part)),
    datetime: lambda part: in_supported_range(datetime.fromisoformat(_text(part))),
    int: _number,
    str: _text,
}


def encode(*position: Part) -> str:
    """Encode the sort key of a page's last row, whose last part is a unique id."""
    written = json.dumps(position, default=_written)
    return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")


def _written(part: UUID | datetime) -> str:
    return part.isoformat() if isinstance(part, datetime) else str(part)


def decode(cursor: str) -> list[Any]:
    """Decode a cursor into unchecked parts. Raises BadCursor."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(
            base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        )
    except (binascii.Error, UnicodeError, ValueError, RecursionError):
        raise BadCursor from None
    if not isinstance(position, list):
        raise BadCursor
    return position


class Paging(BaseModel):
    """A request for a page: the number of rows, and the position before them (None: the start)."""

    limit: int
    after: list[Any] | None

    @overload
    def position(self, kind: type[First], /) -> First | None: ...

    @overload
    def position(
        self, first: type[First], second: type[Second], /
    ) -> tuple[First, Second] | None: ...

    def position(self, *kinds: type[Any]) -> Any:
        """The position, parsed by its types: one value or a tuple; None at the start of the list.

        As in `position(datetime, UUID)`. Raises BadCursor.
        """
        if self.after is None:
            return None
        try:
            parts = tuple(READERS[kind](part) for kind, part in zip(kinds, self.after, strict=True))
        except (ValueError, OverflowError):
            raise BadCursor from None
        return parts if len(parts) > 1 else parts[0]

    def page(
        self,
        rows: Sequence[Row],
        show: Callable[[Row], Item],
        key: Callable[[Row], Part | tuple[Part, ...]],
    ) -> Page[Item]:
        """Build the page from `limit + 1` rows: the extra one shows that there is another page.

        `key` returns a row's position, with the types of `position`.
        """
        shown = rows[: self.limit]
        following = None
        if len(rows) > self.limit and shown:
            position = key(shown[-1])
            following = encode(*position) if isinstance(position, tuple) else encode(position)
        return Page(items=[show(row) for row in shown], next_cursor=following)


@refuses(BadCursor)
async def _paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows a page")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="`next_cursor` of the page before")
    ] = None,
) -> Paging:
    return Paging(limit=limit, after=decode(cursor) if cursor is not None else None)


Paged = Annotated[Paging, Depends(_paging)]
