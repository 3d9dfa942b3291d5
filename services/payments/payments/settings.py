"""The settings of payments, from its environment."""

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Seconds, ServiceSettings
from chassis.webhooks import key_of


class PaymentsSettings(ServiceSettings):
    """The provider's address, its secrets and its time limits."""

    provider_url: str = Field(
        pattern=r"^https?://",
        description="the payment provider's API",
        examples=["http://127.0.0.1:8190"],
    )
    provider_api_key: str = Field(
        min_length=8,
        repr=False,
        description="the API key of our account at the provider",
        examples=["sk_sandbox_3f9c1a"],
    )
    provider_webhook_secret: str = Field(
        min_length=8,
        repr=False,
        description="signs webhooks; several secrets, separated by spaces, during a rotation",
        examples=["whsec_c2l4dGVlbiBieXRlcyBvaw=="],
    )
    provider_timeout: Seconds = Field(
        10.0,
        description="time limit of a request in seconds; less than the checkout's deadline",
        examples=["10"],
    )
    action_check_after: Seconds = Field(
        60.0,
        description="seconds after which a payment without a result is checked with the provider",
        examples=["60"],
    )

    charge_settles_after: Seconds = Field(
        60.0,
        description="seconds after which a charge sent before a cancellation cannot appear at the "
        "provider any more; longer than the time limit of a request",
        examples=["60"],
    )

    @field_validator("charge_settles_after")
    @classmethod
    def _exceeds_provider_timeout(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("provider_timeout", 0.0):
            raise ValueError("must be longer than PROVIDER_TIMEOUT")
        return value

    @field_validator("provider_webhook_secret")
    @classmethod
    def _has_valid_keys(cls, value: str) -> str:
        for secret in value.split():
            key_of(secret)
        return value

    @property
    def webhook_keys(self) -> list[bytes]:
        """The signing keys, any of which may have signed a webhook."""
        return [key_of(secret) for secret in self.provider_webhook_secret.split()]
