"""The bus of payments, and the providers that are at hand while it runs."""

from chassis.bus import Bus
from payments.domain.payment import Payment
from payments.providers.choice import Providers
from payments.providers.port import Provider, Target
from payments.settings import PaymentsSettings

bus: Bus[PaymentsSettings] = Bus("payments")


def providers() -> Providers:
    """The providers, as the composition put them there."""
    found: Providers = bus.resources.providers
    return found


def provider_of(payment: Payment) -> Provider:
    """Who was or will be asked about a payment; raises LookupError for one no longer served."""
    found = providers().named(payment.provider)
    if found is None:
        raise LookupError(f"no provider {payment.provider}")
    return found


def target_of(payment: Payment) -> Target:
    """A payment as providers are told of it."""
    return Target(
        payment_id=payment.id,
        order_id=payment.order_id,
        amount=payment.amount,
        currency=payment.currency,
        reference=payment.provider_reference,
    )
