"""What public reads share: a database without transactions, and answers that may not change."""

from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response

from chassis.db import Database

# A shared cache may keep an answer, but asks each time whether it still holds.
CACHED = "public, no-cache"


async def _reads(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Reads = Annotated[Database, Depends(_reads)]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match", description="The ETag you have; answered with 304 while it holds"
    ),
]

MAY_BE_KNOWN: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the ETag you have"}
}


def unless_known(body: str | bytes, etag: str, known: str | None) -> Response:
    """The JSON, or 304 when the client has it already."""
    headers = {"ETag": f'W/"{etag}"', "Cache-Control": CACHED}
    if known is not None and (known.strip() == "*" or f'"{etag}"' in known):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
