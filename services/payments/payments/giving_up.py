"""Giving a charge up: it is looked up and cancelled where there is one, and never sent."""

from dataclasses import replace
from datetime import datetime, timedelta

from payments.bus import bus
from payments.domain.charge import Charge
from payments.domain.payment import OrderPayments, Payment, Step
from payments.providers.port import OutcomeUnknown, Provider, ProviderRefused, Target

SETTLED = ("captured", "failed", "voided")


async def give_up(provider: Provider, target: Target, key: str) -> Charge | ProviderRefused | None:
    """Cancel the payment's charge; None when the provider knows of none, which may yet appear.

    Raises OutcomeUnknown when the charge is neither cancelled nor settled in another way.
    """
    try:
        if target.reference is None:
            charge = await provider.find(target)
            if charge is None or charge.status in SETTLED:
                return charge
            target = replace(target, reference=charge.reference)
        charge = await provider.cancel(target, key)
    except ProviderRefused as refused:
        return await _after_refusal(provider, target, refused)
    if charge.status not in SETTLED:
        raise OutcomeUnknown(f"the charge is {charge.status} after it was cancelled")
    return charge


async def _after_refusal(
    provider: Provider, target: Target, refused: ProviderRefused
) -> Charge | ProviderRefused:
    """A charge that never was is given up; one that is must be settled, or is asked about again."""
    if target.reference is None:
        return refused
    charge = await provider.find(target)
    if charge is None or charge.status not in SETTLED:
        raise OutcomeUnknown(f"the charge was not cancelled: {refused.code}") from refused
    return charge


def settle_unseen(order: OrderPayments, payment: Payment, now: datetime) -> Step:
    """Void a cancelled payment without a charge, once none can appear any more.

    A request that was sent before the tombstone may reach the provider until its time limit is
    over. Until then the sweep asks the provider again.
    """
    settings = bus.settings
    if order.cancelled_at is None or payment.status != "initiated":
        return Step()
    limit = order.cancelled_at + timedelta(seconds=settings.charge_settles_after)
    if now >= limit:
        return payment.void()
    payment.check_at = min(limit, now + timedelta(seconds=settings.action_check_after))
    return Step(changed=True)
