"""Cursor pages: opaque, stable under inserts, never more than a hundred rows."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from chassis.errors import Malformed

MAX_LIMIT = 100
Item = TypeVar("Item")
Row = TypeVar("Row")


class Page(BaseModel, Generic[Item]):
    """A slice of a list; `next_cursor` is absent on the last one."""

    items: list[Item]
    next_cursor: str | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """`OrderSummaryPage`: what clients generated from the document call it."""
        return f"{params[0].__name__}Page"


def encode(position: Sequence[str | int | None]) -> str:
    """Make a cursor from the sort key of the last row shown, its unique id last."""
    return base64.urlsafe_b64encode(json.dumps(list(position)).encode()).decode().rstrip("=")


def decode(cursor: str) -> list[Any]:
    """Read a cursor back; raises Malformed for one that is not ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(
            base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        )
    except (binascii.Error, UnicodeError, ValueError, RecursionError):
        raise Malformed("The cursor is not one this list gave out.", code="bad_cursor") from None
    if not isinstance(position, list) or not all(
        isinstance(part, str | int) or part is None for part in position
    ):
        raise Malformed("The cursor is not one this list gave out.", code="bad_cursor")
    return position


class Paging(BaseModel):
    """What a client asked for: how many rows, and after which position (None: from the start)."""

    limit: int
    after: list[Any] | None

    def position(self, *kinds: Callable[[Any], Any]) -> list[Any] | None:
        """The position converted to its types, such as `position(datetime.fromisoformat, UUID)`."""
        if self.after is None:
            return None
        if len(self.after) != len(kinds):
            raise Malformed("The cursor is not one this list gave out.", code="bad_cursor")
        try:
            return [kind(part) for kind, part in zip(kinds, self.after, strict=True)]
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise Malformed(
                "The cursor is not one this list gave out.", code="bad_cursor"
            ) from None

    def page(
        self,
        rows: Sequence[Row],
        show: Callable[[Row], Item],
        key: Callable[[Row], Sequence[str | int | None]],
    ) -> Page[Item]:
        """Make the page from `limit + 1` rows: the extra one only tells whether there is more."""
        shown = rows[: self.limit]
        more = encode(key(shown[-1])) if len(rows) > self.limit and shown else None
        return Page(items=[show(row) for row in shown], next_cursor=more)


async def _paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows a page")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="`next_cursor` of the page before")
    ] = None,
) -> Paging:
    return Paging(limit=limit, after=decode(cursor) if cursor is not None else None)


Paged = Annotated[Paging, Depends(_paging)]
