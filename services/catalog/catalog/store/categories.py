"""Queries on the tree of categories, and on the relistings that its changes leave."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.domain.category import Category, CategoryNotFound, Relisting
from catalog.domain.product import Product
from chassis.db import Database
from chassis.driver import Sql

# The key of the advisory lock on the tree.
TREE = 7_201_130
PENDING_RELISTINGS = Sql(
    "select category_id from relistings where not category_id = any(cast(:without as uuid[])) "
    "order by created_at limit :limit"
)


async def lock_tree(tx: AsyncSession) -> None:
    """Lock the tree: until the commit no other transaction moves categories or adds products."""
    await tx.execute(text("select pg_advisory_xact_lock(:tree)"), {"tree": TREE})


async def share_lock_tree(tx: AsyncSession) -> None:
    """Lock the tree against moves until the commit, together with others that share the lock."""
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
    """Lock the tree, then a category to change; raises CategoryNotFound."""
    await lock_tree(tx)
    found = await tx.get(Category, category_id, with_for_update=True)
    if found is None:
        raise CategoryNotFound
    return found


async def list_categories(tx: AsyncSession) -> Sequence[Category]:
    """All categories, parents before children, each level in its display order."""
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
    """Whether a category has categories or products; retired products do not count."""
    children = exists().where(Category.parent_id == category_id)
    products = exists().where(Product.category_id == category_id, Product.deleted_at.is_(None))
    return bool(await tx.scalar(select(children | products)))


async def lock_relisting(tx: AsyncSession, category_id: UUID) -> Relisting | None:
    """Lock the relisting that is left for a category, if there is one."""
    return await tx.get(Relisting, category_id, with_for_update=True)


async def find_relisting(tx: AsyncSession, category_id: UUID) -> Relisting | None:
    """The relisting that is left for a category, or None."""
    return await tx.get(Relisting, category_id)


async def list_relistings(tx: AsyncSession) -> Sequence[Relisting]:
    """The relistings that are left for all categories."""
    return (await tx.scalars(select(Relisting))).all()


async def list_pending_relistings(
    database: Database, without: Collection[UUID], limit: int
) -> list[UUID]:
    """Categories with a relisting left, the oldest first, except `without`."""
    values = {"without": list(without), "limit": limit}
    return [row[0] for row in await database.fetch(PENDING_RELISTINGS, values)]
