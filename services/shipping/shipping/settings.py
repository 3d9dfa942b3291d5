"""Settings of shipping."""

from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.settings import Seconds, ServiceSettings
from chassis.webhooks import SECRET_PREFIX, key_of
from contracts.money import Currency

MIN_KEY_BYTES = 24


def _check_signing_secret(secret: str) -> str:
    """Reject at start a secret that could not verify a signature."""
    try:
        key = key_of(secret)
    except ValueError:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) < MIN_KEY_BYTES:
        raise ValueError("must be whsec_ and the base64 of at least 24 bytes")
    return secret


SigningSecret = Annotated[str, AfterValidator(_check_signing_secret)]


class ShippingSettings(ServiceSettings):
    """Webhook secrets and defaults; times in seconds."""

    carrier_webhook_secrets: dict[str, SigningSecret | list[SigningSecret]] = Field(
        default_factory=dict,
        repr=False,
        description="webhook secret of each provider code, or several during a rotation",
        examples=['{"sandbox": "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGFuIGV4YW1wbGU="}'],
    )
    webhook_tolerance: Seconds = Field(
        300,
        description="maximum age or lead of a webhook's time, in seconds",
        examples=["300"],
    )
    default_currency: Currency = Field(
        "USD", description="currency of rates for a query without one", examples=["USD"]
    )

    def webhook_keys(self, provider: str) -> list[bytes]:
        """The keys with which this provider may sign its webhooks."""
        secrets = self.carrier_webhook_secrets.get(provider, [])
        return [key_of(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
