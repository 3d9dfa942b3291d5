"""Queries on the tree of categories."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain import Category, Product
from catalog.domain.refusals import CategoryNotFound

TREE = 7_201_130


async def lock_tree(tx: AsyncSession) -> None:
    """Let nobody else move categories, or products among them, until the commit."""
    await tx.execute(text("select pg_advisory_xact_lock(:tree)"), {"tree": TREE})


async def hold_tree(tx: AsyncSession) -> None:
    """Let nobody move categories until the commit; any number may hold the tree together."""
    await tx.execute(text("select pg_advisory_xact_lock_shared(:tree)"), {"tree": TREE})


async def find_category(tx: AsyncSession, category_id: UUID) -> Category | None:
    """A category, or None."""
    return await tx.get(Category, category_id)


async def get_category(tx: AsyncSession, category_id: UUID) -> Category:
    """A category; raises CategoryNotFound."""
    found = await find_category(tx, category_id)
    if found is None:
        raise CategoryNotFound
    return found


async def lock_category(tx: AsyncSession, category_id: UUID) -> Category:
    """A category to change, the tree locked before it."""
    await lock_tree(tx)
    found = await tx.get(Category, category_id, with_for_update=True)
    if found is None:
        raise CategoryNotFound
    return found


async def list_categories(tx: AsyncSession) -> Sequence[Category]:
    """All categories, those above before those below, each level in its order."""
    order = (Category.depth, Category.display_order, Category.name, Category.id)
    return (await tx.scalars(select(Category).order_by(*order))).all()


async def list_below(tx: AsyncSession, category: Category) -> Sequence[Category]:
    """Everything below a category."""
    query = select(Category).where(
        Category.path.contains([category.id]), Category.id != category.id
    )
    return (await tx.scalars(query.order_by(Category.depth, Category.id))).all()


async def list_by_ids(tx: AsyncSession, ids: Iterable[UUID]) -> Sequence[Category]:
    """The categories of these ids."""
    return (await tx.scalars(select(Category).where(Category.id.in_(set(ids))))).all()


async def is_in_use(tx: AsyncSession, category_id: UUID) -> bool:
    """Whether a category holds categories or products; retired products do not count."""
    children = exists().where(Category.parent_id == category_id)
    products = exists().where(Product.category_id == category_id, Product.deleted_at.is_(None))
    return bool(await tx.scalar(select(children | products)))
