"""What the database's constraints refuse, said in the catalogue's words."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import refusals
from chassis.errors import Problem

MEANING: dict[str, type[Problem]] = {
    "uq_categories_lower_name": refusals.CategoryNameTaken,
    "uq_categories_slug": refusals.SlugTaken,
    "uq_products_slug": refusals.SlugTaken,
    "uq_variants_sku": refusals.DuplicateSku,
    "uq_variants_product_id_options_key": refusals.DuplicateOptions,
}


async def flush(tx: AsyncSession) -> None:
    """Write what was changed; raises the refusal a broken constraint stands for."""
    try:
        await tx.flush()
    except IntegrityError as error:
        constraint = getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)
        if constraint in MEANING:
            raise MEANING[constraint] from None
        raise
