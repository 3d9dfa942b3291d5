"""CustomerChanged: payments go along to another customer; reclaimed accounts lose their methods."""

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.identity import CustomerChanged
from payments.store import payments, saved_methods


async def customer_changed(event: CustomerChanged, tx: AsyncSession) -> None:
    """Move what was paid, and the saved methods unless the account was reclaimed."""
    if event.merged_into is None:
        return
    await payments.move_payments(tx, event.customer_id, event.merged_into)
    if event.reclaimed_by is not None:
        await saved_methods.delete_all_saved(tx, event.customer_id)
    else:
        await saved_methods.move_saved(tx, event.customer_id, event.merged_into)
