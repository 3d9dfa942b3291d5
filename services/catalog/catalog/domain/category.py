"""Categories: a tree at most three deep in which every product stands somewhere."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.refusals import CategoryCycle, CategoryTooDeep
from catalog.domain.tables import Base
from chassis.model import Aggregate
from contracts.catalog import CategoryChanged

DEEPEST = 3


class Category(Aggregate, Base):
    """A place in the tree. `path` holds the ids from the root down to the category itself."""

    __tablename__ = "categories"
    __table_args__ = (
        CheckConstraint("depth between 1 and 3", name="depth"),
        CheckConstraint("cardinality(path) = depth and path[depth] = id", name="path"),
        CheckConstraint("(parent_id is null) = (depth = 1)", name="parent"),
        Index("uq_categories_lower_name", text("lower(name)"), unique=True),
        Index("ix_categories_path", "path", postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("categories.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(160), unique=True)
    description: Mapped[str] = mapped_column(String(2000))
    depth: Mapped[int]
    path: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    display_order: Mapped[int]
    is_active: Mapped[bool]

    def place(self, parent: "Category | None", below: "Sequence[Category]" = ()) -> None:
        """Stand under `parent` (None: at the top) and take `below`, the whole subtree, along."""
        above = parent.path if parent is not None else []
        if self.id in above:
            raise CategoryCycle
        moved_from = len(self.path or [])
        self.parent_id = parent.id if parent is not None else None
        for category in (self, *below):
            kept = (category.path or [self.id])[max(moved_from - 1, 0) :]
            category.path = [*above, *kept]
            category.depth = len(category.path)
            if category.depth > DEEPEST:
                raise CategoryTooDeep

    def announce(self, *, is_deleted: bool = False) -> CategoryChanged:
        """Tell what the category is like now."""
        return self.record(
            CategoryChanged(
                category_id=self.id,
                parent_id=self.parent_id,
                name=self.name,
                slug=self.slug,
                is_active=self.is_active,
                is_deleted=is_deleted,
            )
        )
