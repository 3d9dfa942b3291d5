"""What notifications is told by its environment."""

from email.utils import parseaddr
from typing import Literal

from pydantic import Field, field_validator

from chassis.settings import Seconds, ServiceSettings
from notifications.domain.kind import LinkOwner

HOUR = 3600.0


class NotificationsSettings(ServiceSettings):
    """The mail server, who the mails are from, and how patiently they are sent."""

    smtp_host: str = Field(
        min_length=1, description="the mail server that takes our mails", examples=["127.0.0.1"]
    )
    smtp_port: int = Field(ge=1, le=65535, description="its port", examples=["1025"])
    smtp_security: Literal["auto", "starttls", "tls"] = Field(
        "auto",
        description="`tls` from the first byte, `starttls` required, or `auto`: if offered",
        examples=["starttls"],
    )
    smtp_username: str | None = Field(
        None, description="the user at the mail server, where it asks for one", examples=["shop"]
    )
    smtp_password: str | None = Field(
        None, repr=False, description="that user's password", examples=["a secret"]
    )
    smtp_timeout: Seconds = Field(
        10.0,
        description="seconds the mail server may take for one mail, connecting included; "
        "the request for its link may take as long",
        examples=["10"],
    )
    smtp_connections: int = Field(
        4, ge=1, le=50, description="connections to the mail server at most", examples=["4"]
    )
    orders_url: str = Field(
        pattern=r"^https?://",
        description="orders' internal address",
        examples=["http://127.0.0.1:8105"],
    )
    mail_from: str = Field(
        description="who the mails are from", examples=["Cartwright <shop@example.com>"]
    )
    mail_batch: int = Field(
        10, ge=1, le=100, description="mails one connection takes in hand at once", examples=["10"]
    )
    mail_retry_tiers: list[Seconds] = Field(
        [5, 30, 300, 1800, HOUR, 4 * HOUR, 12 * HOUR],
        min_length=1,
        max_length=20,
        description="seconds between two attempts at a mail; it has failed after one more",
        examples=["[5, 30, 300, 1800]"],
    )
    mail_lifetime: Seconds = Field(
        14 * 24 * HOUR,
        description="seconds after which a mail that does not say so itself is not sent any more",
        examples=["1209600"],
    )
    shop_name: str = Field(
        "Cartwright",
        min_length=1,
        max_length=100,
        description="the shop's name as mails show it",
        examples=["Cartwright"],
    )
    default_locale: Literal["en", "de"] = Field(
        "en", description="the language of whoever did not say theirs", examples=["en"]
    )

    @field_validator("mail_from")
    @classmethod
    def _has_an_address(cls, value: str) -> str:
        if "@" not in parseaddr(value)[1] or not value.isprintable():
            raise ValueError("must hold an e-mail address")
        return value

    @property
    def sender_address(self) -> str:
        """The bare address that mails are from."""
        return parseaddr(self.mail_from)[1]

    def url_of(self, owner: LinkOwner) -> str:
        """The internal address of a service that gives links."""
        return self.identity_url if owner == "identity" else self.orders_url

    @property
    def longest_delivery(self) -> float:
        """Seconds one mail may take: its link, and then the mail server."""
        return 2 * self.smtp_timeout

    @property
    def lease(self) -> float:
        """Seconds for which a batch is its sender's: enough for every mail to take all its time."""
        return (self.mail_batch + 2) * self.longest_delivery
