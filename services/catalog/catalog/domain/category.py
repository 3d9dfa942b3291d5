"""Categories: a tree of at most three levels, in which each product has one place."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Invalid, NotFound, Refused
from chassis.model import Aggregate, DeletedBy, Model, Retained, Stamped, own_metadata
from contracts.catalog import CategoryChanged

DEEPEST = 3


class CategoryNotFound(NotFound):
    """There is no such category."""

    code = "category_unknown"


class UnknownCategory(Invalid):
    """The category named does not exist."""

    code = "unknown_category"


class CategoryCycle(Refused):
    """A category cannot be below itself."""

    code = "category_cycle"


class CategoryTooDeep(Refused):
    """A category has at most two levels above it."""

    code = "category_too_deep"


class CategoryInUse(Refused):
    """The category still has categories or products in it."""

    code = "category_in_use"


class CategoryNameTaken(Refused):
    """Another category has this name."""

    code = "category_name_taken"


class SlugTaken(Refused):
    """Another category or product has this slug."""

    code = "slug_taken"


class Base(Model):
    """Catalog's own tables."""

    __abstract__ = True
    metadata = own_metadata()


class Category(Aggregate, Base):
    """A node of the tree. `path` holds the ids from the root down to the category itself."""

    __tablename__ = "categories"
    __retention__ = Retained("a row for each category, which staff delete")
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

    def move_under(self, parent: "Category | None", below: "Sequence[Category]" = ()) -> None:
        """Move under `parent` (None: to the top) with `below`, the whole subtree."""
        above = parent.path if parent is not None else []
        if self.id in above:
            raise CategoryCycle
        moved_from = len(self.path or [])
        self.parent_id = parent.id if parent is not None else None
        for category in (self, *below):
            rest = (category.path or [self.id])[max(moved_from - 1, 0) :]
            category.path = [*above, *rest]
            category.depth = len(category.path)
            if category.depth > DEEPEST:
                raise CategoryTooDeep

    def record_change(self, *, is_deleted: bool = False) -> CategoryChanged:
        """Record the state of the category as an event."""
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


class Relisting(Stamped, Base):
    """Progress of the listings below a changed category, rebuilt by product id up to `after`.

    `is_announced`: each product publishes its change too, since its path changed. A change of the
    category meanwhile starts again from the first product.
    """

    __tablename__ = "relistings"
    __retention__ = DeletedBy("the end of the relisting")

    category_id: Mapped[UUID] = mapped_column(
        ForeignKey("categories.id", ondelete="CASCADE"), primary_key=True
    )
    is_announced: Mapped[bool]
    after: Mapped[UUID | None]
    done: Mapped[int]
    total: Mapped[int]
