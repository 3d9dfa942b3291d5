"""What customers browse: one ready-made row for each product on sale, and the stock it tells of."""

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, CHAR, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from catalog.domain.tables import Base, one_of
from chassis.model import Stamped

AVAILABILITIES = ("in_stock", "low_stock", "out_of_stock")


class VariantStock(Stamped, Base):
    """What inventory last said of a variant; `sequence` is that of the event it came with."""

    __tablename__ = "variant_stock"
    __table_args__ = (
        CheckConstraint(one_of("availability", *AVAILABILITIES), name="availability"),
    )

    variant_id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(index=True)
    sequence: Mapped[int]
    availability: Mapped[str] = mapped_column(String(15))


class Listing(Stamped, Base):
    """A product on sale as customers see it, kept in the transaction of every change.

    `card` and `page` are the JSON of its place in a list and of its own page; `options` has the
    form `size:xl`; `price_amount` is what its cheapest variant costs now.
    """

    __tablename__ = "listings"
    __table_args__ = (
        CheckConstraint(one_of("availability", *AVAILABILITIES), name="availability"),
        Index("ix_listings_category_path", "category_path", postgresql_using="gin"),
        Index("ix_listings_options", "options", postgresql_using="gin"),
        Index("ix_listings_search", "search", postgresql_using="gin"),
        Index(
            "ix_listings_words",
            "words",
            postgresql_using="gin",
            postgresql_ops={"words": "gin_trgm_ops"},
        ),
        Index("ix_listings_price_amount_product_id", "price_amount", "product_id"),
        Index("ix_listings_name_product_id", "name", "product_id"),
    )

    product_id: Mapped[UUID] = mapped_column(
        ForeignKey("products.id", ondelete="CASCADE"), primary_key=True
    )
    slug: Mapped[str] = mapped_column(String(160), unique=True)
    category_path: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    seller_id: Mapped[UUID | None] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(200))
    price_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    availability: Mapped[str] = mapped_column(String(15))
    options: Mapped[list[str]] = mapped_column(ARRAY(Text))
    words: Mapped[str] = mapped_column(Text)
    search: Mapped[Any] = mapped_column(TSVECTOR)
    card: Mapped[str] = mapped_column(Text)
    page: Mapped[str] = mapped_column(Text)
    etag: Mapped[str] = mapped_column(String(40))
