"""What payments is told by its environment."""

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Seconds, ServiceSettings
from chassis.webhooks import key_of


class PaymentsSettings(ServiceSettings):
    """The provider's address, its secrets, and how long to wait for it."""

    provider_url: str = Field(
        pattern=r"^https?://",
        description="the payment provider's API",
        examples=["http://127.0.0.1:8190"],
    )
    provider_api_key: str = Field(
        min_length=8,
        repr=False,
        description="the key by which the provider knows us",
        examples=["sk_sandbox_3f9c1a"],
    )
    provider_webhook_secret: str = Field(
        min_length=8,
        repr=False,
        description="what the provider signs webhooks with; several, parted by spaces, in rotation",
        examples=["whsec_c2l4dGVlbiBieXRlcyBvaw=="],
    )
    provider_timeout: Seconds = Field(
        10.0,
        description="seconds the provider has to answer; less than the checkout's deadline",
        examples=["10"],
    )
    action_check_after: Seconds = Field(
        60.0,
        description="seconds after which the provider is asked about a payment without a result",
        examples=["60"],
    )

    charge_settles_after: Seconds = Field(
        60.0,
        description="seconds after which a charge sent before a cancellation cannot appear at the "
        "provider any more; longer than the provider has to answer",
        examples=["60"],
    )

    @field_validator("charge_settles_after")
    @classmethod
    def _outlasts_the_call(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("provider_timeout", 0.0):
            raise ValueError("must be longer than PROVIDER_TIMEOUT")
        return value

    @field_validator("provider_webhook_secret")
    @classmethod
    def _readable(cls, value: str) -> str:
        for secret in value.split():
            key_of(secret)
        return value

    @property
    def webhook_keys(self) -> list[bytes]:
        """The signing keys, any of which may have signed a webhook."""
        return [key_of(secret) for secret in self.provider_webhook_secret.split()]
