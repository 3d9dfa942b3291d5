"""Settings of the cart service."""

from pydantic import Field

from chassis.settings import Seconds, ServiceSettings


class CartSettings(ServiceSettings):
    """Peers, the shop's currency, and how long quotes, locks and carts last. Times in seconds."""

    promotions_url: str = Field(
        pattern=r"^https?://",
        description="promotions' internal address",
        examples=["http://127.0.0.1:8104"],
    )
    shipping_url: str = Field(
        pattern=r"^https?://",
        description="shipping's internal address",
        examples=["http://127.0.0.1:8108"],
    )
    orders_url: str = Field(
        pattern=r"^https?://",
        description="orders' internal address",
        examples=["http://127.0.0.1:8105"],
    )
    currency: str = Field(
        "USD",
        pattern=r"^[A-Z]{3}$",
        description="the currency of a cart that names none",
        examples=["USD"],
    )
    quote_age: Seconds = Field(
        60, description="how old a shipping rate may be when a cart is locked", examples=["60"]
    )
    tax_rates_age: Seconds = Field(
        10, description="how long tax rates are cached in memory", examples=["10"]
    )
    lock_check_after: Seconds = Field(
        120, description="age at which a lock is checked against orders", examples=["120"]
    )
    abandon_after: Seconds = Field(
        30 * 86_400,
        description="time without a change after which a cart counts as abandoned",
        examples=["2592000"],
    )
