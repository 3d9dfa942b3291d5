"""The work that a change of a category leaves: listing every product below it again."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.tables import Base
from chassis.model import Stamped


class Relisting(Stamped, Base):
    """Products below a category that are listed again, in the order of their ids, up to `after`.

    `is_announced`: others are told of each product too, since its path changed. A change of the
    category meanwhile starts again from the first product.
    """

    __tablename__ = "relistings"

    category_id: Mapped[UUID] = mapped_column(
        ForeignKey("categories.id", ondelete="CASCADE"), primary_key=True
    )
    is_announced: Mapped[bool]
    after: Mapped[UUID | None]
    done: Mapped[int]
    total: Mapped[int]
