"""What a provider answered, as the payment and the attempt under its key take it."""

from chassis.ids import utcnow
from payments.domain.charge import Charge
from payments.domain.payment import Payment, Step
from payments.providers.port import ProviderRefused
from payments.store.payments import Finished


def take(payment: Payment, key: str, outcome: Charge | ProviderRefused) -> tuple[Step, Finished]:
    """Move the payment on by a charge, or fail it by a refusal."""
    if isinstance(outcome, Charge):
        return payment.learn(outcome, utcnow()), Finished(key, outcome=outcome.status)
    return payment.fail(outcome.code), Finished(key, error=outcome.code)
