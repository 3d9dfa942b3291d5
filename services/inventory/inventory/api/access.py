"""Who may read stock and who may change it."""

from typing import Annotated

from fastapi import Depends

from chassis.auth import Caller, require_permission

Reader = Annotated[Caller, Depends(require_permission("stock:read"))]
Writer = Annotated[Caller, Depends(require_permission("stock:write"))]


async def principal(caller: Writer) -> str:
    """Whose idempotency keys they are; asked only after the permission."""
    return caller.principal
