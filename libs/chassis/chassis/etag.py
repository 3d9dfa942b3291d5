"""Optimistic concurrency over HTTP: the version is the ETag, and a change names it in If-Match."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from chassis.errors import Changed, IfMatchMissing, Malformed, refuses


class BadIfMatch(Malformed):
    """If-Match must be the ETag of the version you read."""

    code = "bad_if_match"


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def set_header(response: Response, version: int) -> None:
    """Set the response's ETag to the version that the client reads."""
    response.headers["ETag"] = etag(version)


def parse_if_match(header: str) -> int:
    """The version that an If-Match header names. Raises BadIfMatch."""
    found = re.fullmatch(r'(?:W/)?"([0-9]{1,18})"', header.strip())
    if found is None:
        raise BadIfMatch
    return int(found[1])


@refuses(IfMatchMissing, BadIfMatch, Changed)
async def expected_version(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="The ETag of the version that was read",
            json_schema_extra={"x-needed": True},
        ),
    ] = None,
) -> int:
    """The version that a change is based on; 428 without the header, 400 when it is malformed.

    A route that needs the header for some requests only calls this with the header itself.
    """
    if if_match is None:
        raise IfMatchMissing
    return parse_if_match(if_match)


@refuses(BadIfMatch)
async def optional_version(
    if_match: Annotated[
        str | None, Header(alias="If-Match", description="refuse the change of any other version")
    ] = None,
) -> int | None:
    """The version that a change is based on; None without the header, and for `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    return parse_if_match(if_match)


IfMatch = Annotated[int, Depends(expected_version)]
"""The version a change is based on; 428 when the header is missing."""

OptionalIfMatch = Annotated[int | None, Depends(optional_version)]
"""The version a change is based on, where the client names one."""


def check(version: int, expected: int) -> None:
    """Refuse a change based on an older version (412)."""
    if version != expected:
        raise Changed
