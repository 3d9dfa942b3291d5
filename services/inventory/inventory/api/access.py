"""Who may read stock and who may change it."""

from typing import Annotated

from fastapi import Depends

from chassis.auth import Caller, permitted

Reader = Annotated[Caller, Depends(permitted("stock:read"))]
Writer = Annotated[Caller, Depends(permitted("stock:write"))]


async def principal(caller: Writer) -> str:
    """Whose idempotency keys they are; asked only after the permission."""
    return caller.principal
