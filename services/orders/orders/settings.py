"""What orders needs beyond the chassis: its peer, its secret, the deadline of each stage."""

from pydantic import BaseModel, Field

from chassis.settings import Seconds, ServiceSettings
from orders.saga.engine import Deadlines


class StreamLimits(BaseModel):
    """The most progress streams that are open in one process at the same time."""

    per_principal: int = Field(10, ge=1)
    per_address: int = Field(50, ge=1)
    per_order: int = Field(10, ge=1)
    per_process: int = Field(1000, ge=1)


class OrdersSettings(ServiceSettings):
    """The settings of orders."""

    cart_url: str = Field(
        pattern=r"^https?://",
        description="cart's internal address",
        examples=["http://127.0.0.1:8103"],
    )
    order_token_secret: str = Field(
        min_length=32,
        repr=False,
        description="the secret from which guests' order tokens are derived",
        examples=["a random text of at least 32 characters"],
    )
    deadlines: Deadlines = Field(
        default_factory=Deadlines,
        description="seconds the checkout may spend in each stage",
        examples=['{"reserving": 30, "collecting": 60}'],
    )
    longest_wait: Seconds = Field(
        25, description="longest `Prefer: wait`, in seconds", examples=["25"]
    )
    streams: StreamLimits = Field(
        default_factory=StreamLimits,
        description="most open progress streams of a process: by principal, client address (an "
        "IPv6 /64), order, and in all",
        examples=['{"per_principal": 10, "per_address": 50, "per_order": 10, "per_process": 1000}'],
    )
    number_block: int = Field(
        50, ge=1, le=10_000, description="order numbers leased at a time", examples=["50"]
    )
    capture_on_shipment: bool = Field(
        False,
        description="whether cards are charged when a parcel leaves instead of at checkout",
        examples=["false"],
    )
