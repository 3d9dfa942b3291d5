"""Invalid settings are rejected at start."""

import pytest
from pydantic import ValidationError

from chassis.settings import explain
from shipping.settings import ShippingSettings


@pytest.mark.parametrize("secret", ["plain", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%%"])
def test_an_invalid_secret_is_rejected_without_being_printed(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ShippingSettings(carrier_webhook_secrets={"sandbox": secret})
    message = explain(ShippingSettings, refused.value)
    assert "CARRIER_WEBHOOK_SECRETS: Value error, must be whsec_" in message
    assert secret == "whsec_" or secret not in message
