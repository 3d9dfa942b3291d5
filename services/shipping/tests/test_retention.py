"""A carrier's reports are pruned long after the parcel's end; the shipment is retained."""

from typing import Any

from shipping.domain.shipments import FINAL_STATUSES, STATUSES
from testkit.harness import Harness

from .test_shipments import create_shipments, report

RETAINED = 540


async def reported(shipping: Harness[Any], method_id: Any, staff: dict[str, str]) -> None:
    """A delivered parcel with two reports."""
    _, [parcel] = await create_shipments(shipping, method_id)
    for milestone in ("shipped", "delivered"):
        assert (await report(shipping, staff, parcel, milestone)).status_code < 300


async def test_the_reports_of_a_delivered_parcel_are_pruned(
    shipping: Harness[Any], method_id: Any, staff: dict[str, str]
) -> None:
    await reported(shipping, method_id, staff)
    before = await shipping.sql("select * from shipments")
    assert (await shipping.prune(RETAINED - 0.01))["tracking_events"] == 0
    assert (await shipping.prune(RETAINED + 0.01))["tracking_events"] == 2
    assert await shipping.sql("select * from shipments") == before


async def test_the_reports_of_a_parcel_under_way_are_retained(
    shipping: Harness[Any], method_id: Any, staff: dict[str, str]
) -> None:
    await reported(shipping, method_id, staff)
    for status in set(STATUSES) - set(FINAL_STATUSES) - {"pending", "scheduled", "packed"}:
        await shipping.sql("update shipments set status = :status", status=status)
        assert (await shipping.prune(3650))["tracking_events"] == 0
    await shipping.sql(
        "update shipments set status = 'delivered', updated_at = now() + interval '1 year'"
    )
    assert (await shipping.prune(RETAINED + 1))["tracking_events"] == 0
