"""Lost updates are refused: the version is the ETag, and a change names the version it saw."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from chassis.errors import Changed, IfMatchMissing, Malformed


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def show(response: Response, version: int) -> None:
    """Tell the client the version it is reading."""
    response.headers["ETag"] = etag(version)


async def expected(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="The ETag of the version that was read",
            json_schema_extra={"x-needed": True},
        ),
    ] = None,
) -> int:
    """The version an If-Match header names; call it where the header is needed only sometimes."""
    if if_match is None:
        raise IfMatchMissing
    found = re.fullmatch(r'(?:W/)?"([0-9]{1,18})"', if_match.strip())
    if found is None:
        raise Malformed("If-Match must be the ETag of the version you read.", code="bad_if_match")
    return int(found[1])


IfMatch = Annotated[int, Depends(expected)]
"""The version a change is based on; 428 when the header is missing."""


def check(version: int, expected: int) -> None:
    """Refuse a change based on an older version (412)."""
    if version != expected:
        raise Changed
