"""Images of products, held elsewhere and named by their address."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.tables import Base
from chassis.model import Stamped


class ProductImage(Stamped, Base):
    """An image; `bytes` is its size, `width` and `height` are pixels, where they are known."""

    __tablename__ = "product_images"
    __table_args__ = (
        CheckConstraint("bytes >= 0", name="bytes"),
        CheckConstraint("width > 0 and height > 0", name="pixels"),
        # Judged at the commit: one image takes the place of another in whatever order.
        ExcludeConstraint(
            ("product_id", "="),
            using="btree",
            where=text("is_primary"),
            name="ex_product_images_primary",
            deferrable=True,
            initially="DEFERRED",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), index=True)
    url: Mapped[str] = mapped_column(String(500))
    alt_text: Mapped[str] = mapped_column(String(200))
    mime: Mapped[str | None] = mapped_column(String(100))
    bytes: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    is_primary: Mapped[bool]
    display_order: Mapped[int]
