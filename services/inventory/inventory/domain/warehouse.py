"""Warehouses, the order in which they are emptied, and the recount after one opens or closes."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import NotFound, Refused
from chassis.model import Aggregate, DeletedBy, Retained, Stamped
from inventory.domain.stock import Base


class WarehouseUnknown(NotFound):
    """There is no such warehouse."""

    code = "warehouse_unknown"


class WarehouseCodeTaken(Refused):
    """Another warehouse has this code."""

    code = "warehouse_code_taken"


class WarehouseInUse(Refused):
    """This warehouse stocks or stocked variants; make it inactive instead."""

    code = "warehouse_in_use"


class Recount(Stamped, Base):
    """Progress of the events for a warehouse that opened or closed: by variant id, up to `after`.

    Reservations follow the warehouse at once; a recount publishes the changed stock. Another change
    meanwhile starts again from the first variant.
    """

    __tablename__ = "recounts"
    __retention__ = DeletedBy("the end of the recount")

    warehouse_id: Mapped[UUID] = mapped_column(
        ForeignKey("warehouses.id", ondelete="CASCADE"), primary_key=True
    )
    after: Mapped[UUID | None]
    done: Mapped[int]
    total: Mapped[int]


class Warehouse(Aggregate, Base):
    """A place that stocks variants. `seller_id` None is the house; low `priority` is emptied first.

    Stock in an inactive warehouse is not for sale: no order can reserve it.
    """

    __tablename__ = "warehouses"
    __retention__ = Retained("a row for each warehouse; stock refers to it")
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("priority between 0 and 10000", name="priority"),
        Index("ix_warehouses_seller_id", "seller_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(50))
    name: Mapped[str] = mapped_column(String(100))
    address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    priority: Mapped[int] = mapped_column(Integer)
    is_active: Mapped[bool] = mapped_column(Boolean)
    seller_id: Mapped[UUID | None]
