"""Who may call the provider's API, and the key every POST must carry."""

import hmac
from typing import Annotated

from fastapi import Header, Request

from sandbox_provider.problems import Problem, Unauthorized

_KEY_LENGTH = 255


async def authenticated(request: Request) -> None:
    """The caller knows the API key."""
    given = request.headers.get("authorization", "").encode()
    expected = f"Bearer {request.app.state.provider.settings.api_key}".encode()
    if not hmac.compare_digest(given, expected):
        raise Unauthorized("api_key_invalid", "Send the API key as a bearer token.")


async def idempotency_key(idempotency_key: Annotated[str | None, Header()] = None) -> str:
    """Read the Idempotency-Key; 400 without one."""
    if not idempotency_key:
        raise Problem("idempotency_key_missing", "Send an Idempotency-Key with every POST.")
    if len(idempotency_key) > _KEY_LENGTH or not idempotency_key.isascii():
        raise Problem("idempotency_key_invalid", f"At most {_KEY_LENGTH} ASCII characters.")
    return idempotency_key
