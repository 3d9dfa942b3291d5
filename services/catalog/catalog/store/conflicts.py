"""What the database's constraints refuse, said in the catalogue's words."""

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import refusals
from chassis.constraints import violations_as


async def flush(tx: AsyncSession) -> None:
    """Write what was changed; raises the refusal a broken constraint stands for."""
    with violations_as(
        uq_categories_lower_name=refusals.CategoryNameTaken,
        uq_categories_slug=refusals.SlugTaken,
        uq_products_slug=refusals.SlugTaken,
        uq_variants_sku=refusals.DuplicateSku,
        uq_variants_product_id_options_key=refusals.DuplicateOptions,
    ):
        await tx.flush()
