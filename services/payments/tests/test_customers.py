"""A merge moves payments and saved methods; a reclaimed account loses its saved methods."""

from typing import Any
from uuid import UUID

from chassis.ids import new_id
from contracts.identity import CustomerChanged
from testkit.harness import Harness

from .commands import collect
from .test_saved_methods import list_saved, save_method

Payments = Harness[Any]


def changed(before: UUID, after: UUID, by: UUID | None = None) -> CustomerChanged:
    return CustomerChanged(
        customer_id=before, status="inactive", merged_into=after, reclaimed_by=by
    )


async def owners(payments: Payments) -> list[UUID]:
    return [row.customer_id for row in await payments.sql("select customer_id from payments")]


async def test_a_reclaimed_customer_loses_the_saved_methods(payments: Payments) -> None:
    before, after = new_id(), new_id()
    stranger = payments.signed_in(customer_id=before)
    other = payments.signed_in()
    for headers in (stranger, stranger, other):
        await save_method(payments, headers)
    await payments.deliver(collect(customer_id=before))

    event = changed(before, after, by=new_id())
    await payments.deliver(event)
    await payments.deliver(event)

    assert await list_saved(payments, stranger) == []
    assert await list_saved(payments, payments.signed_in(customer_id=after)) == []
    assert len(await list_saved(payments, other)) == 1
    assert await owners(payments) == [after]
    # The sweep deletes at the provider what is marked as deleted.
    marked = await payments.sql(
        "select customer_id from saved_payment_methods where deleted_at is not null"
    )
    assert [row.customer_id for row in marked] == [before, before]


async def test_a_merged_customer_brings_the_saved_methods(payments: Payments) -> None:
    before, after = new_id(), new_id()
    mine = await save_method(payments, payments.signed_in(customer_id=before))
    await save_method(payments, payments.signed_in(customer_id=after))
    await payments.deliver(collect(customer_id=before))
    await payments.deliver(changed(before, after))

    found = await list_saved(payments, payments.signed_in(customer_id=after))
    assert mine["id"] in {method["id"] for method in found}
    assert sorted(method["is_default"] for method in found) == [False, True]
    assert await owners(payments) == [after]
