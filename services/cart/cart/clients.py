"""Requests to other services: shipping rates, coupons, and the status of an order."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

import structlog
from cachetools import TTLCache

from cart.domain.checkout import CouponQuote, CouponRequest, RateRequest, ShippingMethod
from chassis.client import Peers, PeerUnavailable
from chassis.errors import Declarable, NotFound, Problem, Refused, Unavailable

log = structlog.get_logger()

NOT_FOUND = 404
CACHE_LIMIT = 10_000


# What promotions refuses, which becomes the client's refusal.
COUPON_REFUSALS: Final[tuple[Declarable, ...]] = (
    NotFound(code="coupon_unknown"),
    *(
        Refused(code=code)
        for code in (
            "coupon_disabled", "coupon_not_started", "coupon_ended", "coupon_used_up",
            "coupon_used_up_by_customer", "coupon_minimum_not_reached", "currency_mismatch",
        )
    ),
)  # fmt: skip


class PricingUnavailable(Unavailable):
    """The price cannot be computed just now; nothing was locked. Try again soon."""

    code = "pricing_unavailable"


class Quotes:
    """Quotes of shipping and promotions, cached. Never request one while a transaction is open."""

    def __init__(
        self, peers: Peers, *, shipping_url: str, promotions_url: str, max_age: float
    ) -> None:
        self._peers = peers
        self._rates_url = f"{shipping_url}/internal/rates"
        self._coupons_url = f"{promotions_url}/internal/coupons/evaluate"
        # Equal requests of many carts are sent once.
        self._rates = TTLCache[RateRequest, Sequence[ShippingMethod]](CACHE_LIMIT, max_age)
        self._coupons = TTLCache[CouponRequest, CouponQuote | Problem](CACHE_LIMIT, max_age)

    def cached_rates(
        self, request: RateRequest, method_id: UUID | None
    ) -> Sequence[ShippingMethod] | None:
        """The methods that shipping offered not long ago, or None.

        An answer without the method is not used: the method may be newer than the answer.
        """
        known = self._rates.get(request)
        if known is None or (method_id is not None and all(m.id != method_id for m in known)):
            return None
        return known

    async def rates(
        self, request: RateRequest, method_id: UUID | None = None
    ) -> Sequence[ShippingMethod]:
        """The methods that shipping offers; empty where it does not deliver.

        Raises PricingUnavailable.
        """
        known = self.cached_rates(request, method_id)
        if known is not None:
            return known
        answer = await self._post(self._rates_url, asdict(request))
        methods = [
            ShippingMethod(
                id=UUID(each["id"]),
                name=each["name"],
                provider=each["provider"],
                price_amount=each["price_amount"],
                estimated_days=each["estimated_days"],
            )
            for each in answer["methods"]
        ]
        self._rates[request] = methods
        return methods

    async def coupon(self, request: CouponRequest) -> CouponQuote:
        """What the coupon takes off now.

        Raises PricingUnavailable, or promotions' refusal of the coupon.
        """
        try:
            quote = await self._evaluate(request)
        except PricingUnavailable:
            raise
        except Problem as refusal:
            self._coupons[request] = refusal
            raise
        self._coupons[request] = quote
        return quote

    async def recent_coupon(self, request: CouponRequest) -> CouponQuote:
        """The same, from the cache where it can be: to show a cart, never to sell it."""
        known = self._coupons.get(request)
        if isinstance(known, Problem):
            # The same exception is raised many times: it must not gather their tracebacks.
            raise known.with_traceback(None)
        return known or await self.coupon(request)

    async def _evaluate(self, request: CouponRequest) -> CouponQuote:
        body = asdict(request)
        body["customer_id"] = str(request.customer_id) if request.customer_id else None
        body["lines"] = [
            {
                "variant_id": str(line.variant_id),
                "product_id": str(line.product_id),
                "category_ids": [str(category) for category in line.category_ids],
                "amount": line.amount,
            }
            for line in request.lines
        ]
        answer = await self._post(self._coupons_url, body)
        return CouponQuote(
            coupon_id=UUID(answer["coupon_id"]),
            code=answer["code"],
            discount_amount=answer["discount_amount"],
            free_shipping=answer["free_shipping"],
        )

    async def _post(self, url: str, body: Any) -> Any:
        """Send a request to a peer.

        A refusal of the coupon is passed on to the customer. Any other refusal is an error between
        services, which the customer cannot fix: it becomes PricingUnavailable.
        """
        try:
            return await self._peers.request("POST", url, body=body)
        except PeerUnavailable:
            raise PricingUnavailable from None
        except Problem as refusal:
            if refusal.code.startswith("coupon_") or refusal.code == "currency_mismatch":
                raise
            log.warning("quote refused", url=url, code=refusal.code)
            raise PricingUnavailable from refusal


class OrderStatuses:
    """Orders' word on whether an order is still alive."""

    def __init__(self, peers: Peers, *, orders_url: str) -> None:
        self._peers = peers
        self._orders_url = f"{orders_url}/internal/orders"

    async def find(self, order_id: UUID) -> str | None:
        """The status of an order; None when there is no such order.

        One that was cancelled after it had been confirmed counts as confirmed: its cart was bought.
        Raises the refusal of orders, and PeerUnavailable.
        """
        try:
            order = await self._peers.request("GET", f"{self._orders_url}/{order_id}")
        except Problem as refusal:
            if refusal.status == NOT_FOUND:
                return None
            raise
        return "confirmed" if order.get("confirmed_at") else str(order["status"])
