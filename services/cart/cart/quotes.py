"""What a cart asks others before it has a price: shipping rates, coupons, the tax table."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from cart.domain.questions import CouponQuestion, CouponWorth, Method, RateQuestion
from cart.domain.tax import Taxes, TaxTable
from cart.settings import CartSettings
from cart.store import tax_rates
from chassis.client import Peers, PeerUnavailable
from chassis.errors import Problem, Unavailable
from chassis.openapi import refuses

log = structlog.get_logger()

KEPT_AT_MOST = 10_000
Question = TypeVar("Question")
Answer = TypeVar("Answer")


class PricingUnavailable(Unavailable):
    """The price cannot be told just now; nothing was locked. Try again soon."""

    code = "pricing_unavailable"


@dataclass
class Kept(Generic[Question, Answer]):
    """Answers by question, for `age` seconds: equal questions of many carts are asked once."""

    age: float
    _answers: dict[Question, tuple[float, Answer]] = field(default_factory=dict)

    def find(self, question: Question) -> Answer | None:
        """Find the answer, if it is young enough."""
        known = self._answers.get(question)
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def keep(self, question: Question, answer: Answer) -> None:
        """Remember an answer; all are forgotten rather than let the memory grow."""
        if len(self._answers) >= KEPT_AT_MOST:
            self._answers.clear()
        self._answers[question] = (time.monotonic() + self.age, answer)

    def forget(self) -> None:
        """Remember nothing."""
        self._answers.clear()


class Quotes:
    """Answers of the neighbours, remembered for a while. Never ask while a transaction is open."""

    def __init__(self, peers: Peers, settings: CartSettings) -> None:
        self._peers = peers
        self._settings = settings
        self._rates: Kept[RateQuestion, Sequence[Method]] = Kept(settings.quote_age)
        self._coupons: Kept[CouponQuestion, CouponWorth | Problem] = Kept(settings.quote_age)
        self._taxes: Kept[str, Taxes] = Kept(settings.tax_rates_age)

    def known_rates(self, question: RateQuestion, wanted: UUID | None) -> Sequence[Method] | None:
        """Recall the methods shipping offered not long ago, or None.

        An answer without the wanted method is not recalled: the method may be younger than it.
        """
        known = self._rates.find(question)
        if known is None or (wanted is not None and all(m.id != wanted for m in known)):
            return None
        return known

    async def rates(self, question: RateQuestion, wanted: UUID | None = None) -> Sequence[Method]:
        """Tell the methods shipping offers; none where it does not deliver."""
        known = self.known_rates(question, wanted)
        if known is not None:
            return known
        told = await self._ask(f"{self._settings.shipping_url}/internal/rates", asdict(question))
        methods = [
            Method(
                id=UUID(each["id"]),
                name=each["name"],
                provider=each["provider"],
                price_amount=each["price_amount"],
                estimated_days=each["estimated_days"],
            )
            for each in told["methods"]
        ]
        self._rates.keep(question, methods)
        return methods

    @refuses(404, "coupon_unknown")
    @refuses(409, "coupon_disabled", "coupon_not_started", "coupon_ended", "coupon_used_up")
    @refuses(409, "coupon_used_up_by_customer", "coupon_minimum_not_reached", "currency_mismatch")
    async def coupon(self, question: CouponQuestion) -> CouponWorth:
        """Ask what the coupon is worth now; raises promotions' refusal of it."""
        try:
            worth = await self._evaluate(question)
        except PricingUnavailable:
            raise
        except Problem as refusal:
            self._coupons.keep(question, refusal)
            raise
        self._coupons.keep(question, worth)
        return worth

    async def recent_coupon(self, question: CouponQuestion) -> CouponWorth:
        """Do the same with an answer given not long ago: for showing, never for selling."""
        known = self._coupons.find(question)
        if isinstance(known, Problem):
            # The same exception is raised many times: it must not gather their tracebacks.
            raise known.with_traceback(None)
        return known or await self.coupon(question)

    async def _evaluate(self, question: CouponQuestion) -> CouponWorth:
        body = asdict(question)
        body["customer_id"] = str(question.customer_id) if question.customer_id else None
        body["lines"] = [
            {
                "variant_id": str(line.variant_id),
                "product_id": str(line.product_id),
                "category_ids": [str(category) for category in line.category_ids],
                "amount": line.amount,
            }
            for line in question.lines
        ]
        told = await self._ask(f"{self._settings.promotions_url}/internal/coupons/evaluate", body)
        return CouponWorth(
            coupon_id=UUID(told["coupon_id"]),
            code=told["code"],
            discount_amount=told["discount_amount"],
            free_shipping=told["free_shipping"],
        )

    async def _ask(self, url: str, body: Any) -> Any:
        """Ask a neighbour.

        Its word on a coupon is the customer's business; any other refusal is a misunderstanding
        between services, which the customer cannot mend.
        """
        try:
            return await self._peers.request("POST", url, body=body)
        except PeerUnavailable:
            raise PricingUnavailable from None
        except Problem as refusal:
            if refusal.code.startswith("coupon_") or refusal.code == "currency_mismatch":
                raise
            log.warning("question refused", url=url, code=refusal.code)
            raise PricingUnavailable from refusal

    async def taxes(self, tx: AsyncSession) -> Taxes:
        """Tell the tax table, at most some seconds old."""
        known = self._taxes.find("all")
        if known is not None:
            return known
        table = TaxTable(await tax_rates.list_all(tx))
        self._taxes.keep("all", table)
        return table

    def forget_taxes(self) -> None:
        """Read the tax table again: it was just changed."""
        self._taxes.forget()
