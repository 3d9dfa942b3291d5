"""Settings of notifications."""

from email.utils import parseaddr
from typing import Literal

from pydantic import Field, field_validator

from chassis.settings import Seconds, ServiceSettings

HOUR = 3600.0


class NotificationsSettings(ServiceSettings):
    """The mail server, the sender of mails, and their retries; times in seconds."""

    smtp_host: str = Field(
        min_length=1, description="host of the mail server (SMTP)", examples=["127.0.0.1"]
    )
    smtp_port: int = Field(ge=1, le=65535, description="port of the mail server", examples=["1025"])
    smtp_security: Literal["auto", "starttls", "tls"] = Field(
        "auto",
        description="`tls` from the first byte, `starttls` required, or `auto`: if offered",
        examples=["starttls"],
    )
    smtp_username: str | None = Field(
        None, description="user name at the mail server, if it requires one", examples=["shop"]
    )
    smtp_password: str | None = Field(
        None, repr=False, description="password of that user", examples=["a secret"]
    )
    smtp_timeout: Seconds = Field(
        10.0,
        description="time limit in seconds for sending one mail, connecting included, "
        "and for the request for its link",
        examples=["10"],
    )
    smtp_connections: int = Field(
        4,
        ge=1,
        le=50,
        description="maximum number of connections to the mail server",
        examples=["4"],
    )
    orders_url: str = Field(
        pattern=r"^https?://",
        description="base URL of orders",
        examples=["http://127.0.0.1:8105"],
    )
    mail_from: str = Field(
        description="sender of all mails: name and address",
        examples=["Cartwright <shop@example.com>"],
    )
    mail_batch: int = Field(
        10, ge=1, le=100, description="mails that a connection claims at once", examples=["10"]
    )
    mail_retry_tiers: list[Seconds] = Field(
        [5, 30, 300, 1800, HOUR, 4 * HOUR, 12 * HOUR],
        min_length=1,
        max_length=20,
        description="seconds between attempts; a mail fails after one attempt more than these",
        examples=["[5, 30, 300, 1800]"],
    )
    mail_lifetime: Seconds = Field(
        14 * 24 * HOUR,
        description="seconds after which an unsent mail expires, unless its command sets a time",
        examples=["1209600"],
    )
    shop_name: str = Field(
        "Cartwright",
        min_length=1,
        max_length=100,
        description="name of the shop in mails",
        examples=["Cartwright"],
    )
    default_locale: Literal["en", "de"] = Field(
        "en", description="language of mails to users without a locale", examples=["en"]
    )

    @field_validator("mail_from")
    @classmethod
    def _contains_an_address(cls, value: str) -> str:
        if "@" not in parseaddr(value)[1] or not value.isprintable():
            raise ValueError("must contain an e-mail address")
        return value

    @property
    def sender_address(self) -> str:
        """The address of `mail_from`, without the name."""
        return parseaddr(self.mail_from)[1]

    @property
    def max_delivery_seconds(self) -> float:
        """Time limit for one mail: the request for its link, and then SMTP."""
        return 2 * self.smtp_timeout

    @property
    def lease(self) -> float:
        """Seconds for which a worker leases a batch: the time limits of all its mails together."""
        return (self.mail_batch + 2) * self.max_delivery_seconds
