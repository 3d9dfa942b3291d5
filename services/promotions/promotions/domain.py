"""Coupons, what they take off, and their redemptions by orders, never more than allowed."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    String,
    Table,
    Uuid,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from chassis.model import RETENTION, Aggregate, Model, Retained, check_in, own_metadata
from contracts.money import Money
from contracts.promotions import (
    PromotionsRedeemed,
    PromotionsRejected,
    RedeemPromotions,
    RejectReason,
)

BASIS_POINTS = 10_000
HELD = ("reserved", "redeemed")

Refusal = Literal["disabled", "not_started", "ended", "used_up", "used_up_by_customer"]


class Base(Model):
    """Promotions' own tables."""

    __abstract__ = True
    metadata = own_metadata()


def normal_code(code: str) -> str:
    """A code as it is stored: case does not matter to customers."""
    return code.strip().upper()


def discount_on(discount_type: str, value: int | None, subtotal_amount: int) -> int:
    """What a coupon takes off the lines, in minor units; never more than they cost.

    `value` is in basis points for a percentage, in minor units for a fixed discount, and None for
    free shipping, which takes nothing off the lines. A half minor unit is rounded to the even one.
    """
    match discount_type:
        case "percentage":
            amount, rest = divmod(subtotal_amount * (value or 0), BASIS_POINTS)
            rounds_up = 2 * rest > BASIS_POINTS or (2 * rest == BASIS_POINTS and amount % 2 == 1)
            return amount + rounds_up
        case "fixed":
            return min(value or 0, subtotal_amount)
        case _:
            return 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What decides whether a coupon can be used once more."""

    status: str
    starts_at: date | None
    ends_at: date | None
    max_uses: int | None
    max_uses_per_customer: int | None

    def refusal(self, *, uses: int, uses_by_redeemer: int, today: date) -> Refusal | None:
        """Why the coupon cannot be used once more, or None.

        The uses are those held now: in all, and by the redeemer.
        """
        if self.status == "disabled":
            return "disabled"
        if self.starts_at is not None and today < self.starts_at:
            return "not_started"
        if self.ends_at is not None and today > self.ends_at:
            return "ended"
        if self.max_uses is not None and uses >= self.max_uses:
            return "used_up"
        if (
            self.max_uses_per_customer is not None
            and uses_by_redeemer >= self.max_uses_per_customer
        ):
            return "used_up_by_customer"
        return None


class Coupon(Aggregate, Base):
    """A coupon. Its window is whole days in the shop's time zone, the last one included.

    `value` is in basis points (percentage) or minor units (fixed). `uses_count` counts the uses
    reserved and redeemed; it moves without the version, so that a sale does not disturb an editor.
    """

    __tablename__ = "coupons"
    __retention__ = Retained("a row for each coupon; redemptions refer to it")
    __table_args__ = (
        CheckConstraint("code = upper(code) and code <> ''", name="code"),
        CheckConstraint(check_in("status", ("active", "disabled")), name="status"),
        CheckConstraint(
            "(discount_type = 'percentage' and value between 1 and 10000)"
            " or (discount_type = 'fixed' and value >= 1 and currency is not null)"
            " or (discount_type = 'free_shipping' and value is null)",
            name="value",
        ),
        CheckConstraint(
            "min_order_amount is null or (min_order_amount >= 0 and currency is not null)",
            name="min_order_amount",
        ),
        CheckConstraint("ends_at >= starts_at", name="window"),
        CheckConstraint("uses_count between 0 and max_uses", name="max_uses"),
        CheckConstraint("uses_count >= 0", name="uses_count"),
        CheckConstraint("max_uses_per_customer >= 1", name="max_uses_per_customer"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(50), unique=True)
    description: Mapped[str] = mapped_column(String(500))
    discount_type: Mapped[str] = mapped_column(String(20))
    value: Mapped[int | None]
    currency: Mapped[str | None] = mapped_column(CHAR(3))
    min_order_amount: Mapped[int | None]
    max_uses: Mapped[int | None]
    max_uses_per_customer: Mapped[int | None]
    uses_count: Mapped[int] = mapped_column(server_default="0", default=0)
    starts_at: Mapped[date | None]
    ends_at: Mapped[date | None]
    status: Mapped[str] = mapped_column(String(10))

    @property
    def limits(self) -> Limits:
        """What decides whether it can be used."""
        return Limits(
            self.status, self.starts_at, self.ends_at, self.max_uses, self.max_uses_per_customer
        )

    def status_on(self, today: date) -> Literal["active", "expired", "disabled"]:
        """The status that staff see: a coupon whose last day is over has expired."""
        if self.status == "disabled":
            return "disabled"
        return "expired" if self.ends_at is not None and today > self.ends_at else "active"


# A row that is `released` without a coupon is a tombstone: the order was cancelled before the
# command to redeem arrived. A `rejected` one stores its reason for a repeat.
redemptions = Table(
    "redemptions",
    Base.metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("operation_id", Uuid, nullable=False),
    Column("coupon_id", ForeignKey("coupons.id")),
    Column("code", String(50)),
    Column("customer_id", Uuid),
    Column("redeemer", String(100)),
    Column("discount_amount", BigInteger),
    Column("currency", CHAR(3)),
    Column("state", String(10), nullable=False),
    Column("reason", String(30)),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    Column("updated_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    CheckConstraint(check_in("state", (*HELD, "released", "rejected")), name="state"),
    CheckConstraint(
        "state not in ('reserved', 'redeemed') or (coupon_id is not null and"
        " code is not null and redeemer is not null and discount_amount is not null"
        " and currency is not null)",
        name="held",
    ),
    CheckConstraint("(reason is not null) = (state = 'rejected')", name="reason"),
    CheckConstraint("discount_amount >= 0", name="discount_amount"),
    Index(
        "ix_redemptions_held",
        "coupon_id",
        "redeemer",
        postgresql_where=text("state in ('reserved', 'redeemed')"),
    ),
    Index("ix_redemptions_coupon_id", "coupon_id", "order_id"),
    info={RETENTION: Retained("limits count them, and a repeated command finds its decision")},
)


@dataclass(slots=True)
class CouponUsage:
    """A locked coupon with the uses held, counted on while a batch reserves more of them."""

    id: UUID
    code: str
    limits: Limits
    uses: int
    added: int = 0
    by_redeemer: dict[str, int] = field(default_factory=dict)

    def refusal(self, redeemer: str, today: date) -> Refusal | None:
        """Why the redeemer cannot use the coupon once more, or None."""
        return self.limits.refusal(
            uses=self.uses, uses_by_redeemer=self.by_redeemer.get(redeemer, 0), today=today
        )

    def add_use(self, redeemer: str) -> None:
        """Count one more use."""
        self.uses += 1
        self.added += 1
        self.by_redeemer[redeemer] = self.by_redeemer.get(redeemer, 0) + 1


@dataclass(slots=True)
class Redemption:
    """An order's use of a coupon, locked until commit; `sequence` is that of its last answer."""

    order_id: UUID
    operation_id: UUID
    coupon_id: UUID | None
    code: str | None
    redeemer: str | None
    customer_id: UUID | None
    discount_amount: int | None
    currency: str | None
    state: str
    reason: str | None
    sequence: int
    is_new: bool = False
    is_changed: bool = False

    def next_sequence(self) -> int:
        """The number of the next answer."""
        self.sequence += 1
        return self.sequence

    def is_undecided(self, operation_id: UUID) -> bool:
        """Whether the operation may still reserve a use: it is the first, or after a rejection."""
        return self.is_new or (self.state == "rejected" and self.operation_id != operation_id)

    def decide(
        self, command: RedeemPromotions, coupon: CouponUsage | None, now: datetime, today: date
    ) -> None:
        """Reserve a use of the coupon, or reject the command with a reason."""
        self.is_new, self.is_changed = False, True
        self.operation_id = command.operation_id
        reason: RejectReason | None = "unknown"
        if command.is_expired(now):
            reason = "expired"
        elif coupon is not None:
            reason = coupon.refusal(command.redeemer, today)
        self.reason = reason
        if reason is None and coupon is not None:
            coupon.add_use(command.redeemer)
            self.state = "reserved"
            self.coupon_id, self.code = coupon.id, coupon.code
            self.redeemer, self.customer_id = command.redeemer, command.customer_id
            self.discount_amount = command.discount.amount
            self.currency = command.discount.currency

    def release(self) -> UUID | None:
        """Give up the use; returns the coupon of which one use fewer is held, if any."""
        if self.state == "released":
            return None
        released = self.coupon_id if self.state in HELD else None
        self.state, self.reason, self.is_changed = "released", None, True
        return released

    def answer(self) -> PromotionsRedeemed | PromotionsRejected:
        """The answer to a command to redeem, as the state requires it."""
        number = self.next_sequence()
        if self.state in HELD:
            return PromotionsRedeemed.model_validate(
                {
                    "order_id": self.order_id,
                    "coupon_id": self.coupon_id,
                    "code": self.code,
                    "discount": Money.model_validate(
                        {"amount": self.discount_amount, "currency": self.currency}
                    ),
                }
            ).with_sequence(number)
        return PromotionsRejected.model_validate(
            {"order_id": self.order_id, "reason": self.reason or "released"}
        ).with_sequence(number)
