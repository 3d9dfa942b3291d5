"""RefundPayment: give money back once per operation; a refused one may be asked again."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Replied
from contracts.payments import PaymentEvent, RefundFailed, RefundPayment
from payments import refunding
from payments.domain.charge import ChargeRefund
from payments.refunding import Plan, Wish
from payments.store import payments


class Refund:
    """A refund still runs after its command's time is over: it makes good what was done."""

    async def record(self, command: RefundPayment, tx: AsyncSession) -> Plan | Replied:
        """Reserve the amount, or answer at once."""
        order, payment = await payments.hold_order(tx, command.order_id)
        if payment is None:
            unknown = RefundFailed(
                order_id=command.order_id,
                operation_id=command.operation_id,
                reason="not_captured",
            )
            return Replied(await payments.answer(tx, order, unknown))
        wish = Wish(command.operation_id, command.amount, command.reason)
        found = await refunding.reserve(tx, order, payment, wish)
        if isinstance(found, Plan):
            return found
        return Replied(await payments.answer(tx, order, found))

    async def call(self, plan: Plan) -> ChargeRefund:
        """Ask the provider."""
        return await refunding.call(plan)

    async def finish(
        self, command: RefundPayment, plan: Plan, outcome: ChargeRefund, tx: AsyncSession
    ) -> list[PaymentEvent]:
        """Store how it ended, and answer."""
        return await refunding.settle(tx, plan, outcome)
