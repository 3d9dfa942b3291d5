"""Settings that could never work are refused at start."""

import pytest
from pydantic import ValidationError

from chassis.settings import explain
from shipping.settings import ShippingSettings


@pytest.mark.parametrize("secret", ["plain", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%%"])
def test_a_secret_that_cannot_sign_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ShippingSettings(carrier_webhook_secrets={"sandbox": secret})
    said = explain(ShippingSettings, refused.value)
    assert "CARRIER_WEBHOOK_SECRETS: Value error, must be whsec_" in said
    assert secret == "whsec_" or secret not in said
