"""What shipping must be told besides what every service is told."""

from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.settings import Seconds, ServiceSettings
from chassis.webhooks import SECRET_PREFIX, key_of
from contracts.money import Currency

SHORTEST_KEY = 24


def _signing_secret(secret: str) -> str:
    """Refuse at start what could never verify a signature."""
    try:
        key = key_of(secret)
    except ValueError:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) < SHORTEST_KEY:
        raise ValueError("must be whsec_ and the base64 of at least 24 bytes")
    return secret


SigningSecret = Annotated[str, AfterValidator(_signing_secret)]


class ShippingSettings(ServiceSettings):
    """Shipping's own settings; times in seconds."""

    carrier_webhook_secrets: dict[str, SigningSecret | list[SigningSecret]] = Field(
        default_factory=dict,
        repr=False,
        description="per provider code the secret, or several during a rotation, of its webhooks",
        examples=['{"sandbox": "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGFuIGV4YW1wbGU="}'],
    )
    webhook_tolerance: Seconds = Field(
        300, description="how old or early a webhook may be, in seconds", examples=["300"]
    )
    default_currency: Currency = Field(
        "USD", description="the currency of rates when none is asked for", examples=["USD"]
    )

    def webhook_keys(self, provider: str) -> list[bytes]:
        """The signing keys, any of which may have signed a webhook of this provider."""
        secrets = self.carrier_webhook_secrets.get(provider, [])
        return [key_of(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
