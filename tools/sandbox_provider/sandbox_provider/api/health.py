"""Whether the process lives, and whether its database answers."""

from fastapi import APIRouter
from sqlalchemy import text

from sandbox_provider.db import transaction
from sandbox_provider.provider import TheProvider

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Answer: whoever answers is alive."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(provider: TheProvider) -> dict[str, str]:
    """Answer if the database does."""
    async with transaction(provider.database) as connection:
        await connection.execute(text("SELECT 1"))
    return {"status": "ok"}
