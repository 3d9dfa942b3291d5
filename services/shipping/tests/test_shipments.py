"""Shipments over HTTP: who can read them, and reports from staff and carriers."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import UUID

import pytest

from chassis.ids import new_id
from contracts.shipping import ShipmentHandedOver, ShipmentsCreated, ShipmentUpdated
from testkit.harness import Harness

from .commands import allocation, cancel_command, create_command
from .conftest import CARRIER_SECRET

Headers = dict[str, str]


async def create_shipments(
    shipping: Harness[Any], method_id: UUID, count: int = 1, **changes: Any
) -> Any:
    allocations = [allocation() for _ in range(count)]
    command = create_command(method_id, allocations=allocations, **changes)
    await shipping.deliver(command)
    created = (await shipping.published(ShipmentsCreated))[-1]
    return command, [parcel.shipment_id for parcel in created.shipments]


async def report(shipping: Harness[Any], who: Headers, parcel: UUID, kind: str, **more: Any) -> Any:
    path = f"/v1/admin/shipments/{parcel}/tracking-events"
    return await shipping.client.post(path, json={"type": kind, **more}, headers=who)


async def webhook(
    shipping: Harness[Any],
    body: dict[str, Any],
    *,
    provider: str = "sandbox",
    webhook_id: str = "msg_1",
    age: int = 0,
    secret: str = CARRIER_SECRET,
    **headers: str | None,
) -> Any:
    content = json.dumps(body).encode()
    sent_at = str(int(time.time()) - age)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{webhook_id}.{sent_at}.".encode() + content, hashlib.sha256)
    given = {
        "webhook-id": webhook_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": "v1a,old v1," + base64.b64encode(digest).decode(),
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return await shipping.client.post(
        f"/v1/webhooks/shipping/{provider}",
        content=content,
        headers={name: value for name, value in given.items() if value is not None},
    )


async def test_only_its_owner_and_staff_can_read_a_shipment(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    customer, token = new_id(), "a guest's token"
    access_hash = hashlib.sha256(token.encode()).hexdigest()
    ours, [parcel] = await create_shipments(shipping, method_id, customer_id=customer)
    theirs, [guest_parcel] = await create_shipments(
        shipping, method_id, customer_id=None, access_hash=access_hash
    )
    owner, guest = shipping.signed_in(customer_id=customer), {"X-Order-Token": token}
    stranger = shipping.signed_in()

    async def sees(who: Headers, order_id: UUID, shipment_id: UUID) -> tuple[int, int]:
        one = await shipping.client.get(f"/v1/shipments/{shipment_id}", headers=who)
        many = await shipping.client.get(f"/v1/shipments?order_id={order_id}", headers=who)
        return one.status_code, len(many.json()["items"])

    assert await sees(owner, ours.order_id, parcel) == (200, 1)
    assert await sees(guest, theirs.order_id, guest_parcel) == (200, 1)
    assert await sees({**stranger, **guest}, theirs.order_id, guest_parcel) == (200, 1)
    assert await sees(staff, theirs.order_id, guest_parcel) == (200, 1)
    for who in (stranger, guest, {"X-Order-Token": "another"}):
        assert await sees(who, ours.order_id, parcel) == (404, 0)
    assert await sees(owner, theirs.order_id, guest_parcel) == (404, 0)
    assert (await shipping.client.get(f"/v1/shipments/{parcel}")).status_code == 401


async def test_staff_list_shipments_by_status(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    order, parcels = await create_shipments(shipping, method_id, 3)
    await report(shipping, staff, parcels[1], "packed")
    path = "/v1/admin/shipments"
    packed = (await shipping.client.get(f"{path}?status=packed", headers=staff)).json()
    assert [each["id"] for each in packed["items"]] == [str(parcels[1])]
    page = (await shipping.client.get(f"{path}?limit=2", headers=staff)).json()
    rest = await shipping.client.get(
        f"{path}?limit=2&cursor={page['next_cursor']}&order_id={order.order_id}", headers=staff
    )
    found = [each["id"] for each in (*page["items"], *rest.json()["items"])]
    assert found == [str(each) for each in reversed(parcels)]
    one = await shipping.client.get(f"{path}/{parcels[0]}", headers=staff)
    assert (one.status_code, one.headers["ETag"]) == (200, '"1"')
    assert (await shipping.client.get(path, headers=shipping.signed_in())).status_code == 403
    assert (await shipping.client.get(f"{path}?status=lost", headers=staff)).status_code == 422
    assert (await shipping.client.get(f"{path}/{new_id()}", headers=staff)).status_code == 404


async def test_a_shipment_is_packed_handed_over_and_delivered(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    order, [parcel] = await create_shipments(shipping, method_id)
    packed = (await report(shipping, staff, parcel, "packed")).json()
    assert packed["tracking_number"] == f"SBX{parcel.hex[-16:].upper()}"
    assert packed["carrier"] == "Sandbox Parcels"
    await report(shipping, staff, parcel, "shipped", location="Berlin")
    await report(shipping, staff, parcel, "out_for_delivery")
    view = (await report(shipping, staff, parcel, "delivered", remarks="At the door")).json()

    assert (view["status"], view["version"]) == ("delivered", 5)
    assert [each["type"] for each in view["tracking_events"]] == [
        "packed",
        "shipped",
        "out_for_delivery",
        "delivered",
    ]
    [handed_over] = await shipping.published(ShipmentHandedOver)
    assert handed_over.order_id == order.order_id
    assert handed_over.warehouse_id == order.allocations[0].warehouse_id
    assert [line.quantity for line in handed_over.lines] == [2]
    updates = await shipping.published(ShipmentUpdated)
    assert [(each.status, each.open_shipments) for each in updates] == [
        ("packed", 1),
        ("in_transit", 1),
        ("out_for_delivery", 1),
        ("delivered", 0),
    ]
    assert [each.sequence for each in (updates[0], handed_over, *updates[1:])] == [1, 2, 3, 4, 5]


async def test_a_manual_shipment_gets_the_tracking_number_that_staff_enter(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    await shipping.sql("update shipping_providers set adapter = 'manual'")
    _, [first, second] = await create_shipments(shipping, method_id, 2)
    packed = await report(shipping, staff, first, "packed")
    assert packed.json()["tracking_number"] is None
    shipped = {"tracking_number": "JD0001", "carrier": "DHL"}
    sent = (await report(shipping, staff, first, "shipped", **shipped)).json()
    assert (sent["tracking_number"], sent["carrier"]) == ("JD0001", "DHL")
    taken = await report(shipping, staff, second, "shipped", **shipped)
    assert (taken.status_code, taken.json()["code"]) == (409, "tracking_number_taken")


async def test_concurrent_last_deliveries_leave_no_open_shipment(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    _, parcels = await create_shipments(shipping, method_id, 4)
    answers = await asyncio.gather(
        *(report(shipping, staff, each, "delivered") for each in parcels)
    )
    assert {answer.status_code for answer in answers} == {201}
    updates = await shipping.published(ShipmentUpdated)
    assert sorted(each.open_shipments for each in updates) == [0, 1, 2, 3]


async def test_a_concurrent_handover_and_cancellation_have_one_winner(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    for _ in range(5):
        order, [parcel] = await create_shipments(shipping, method_id)
        shipped, _ = await asyncio.gather(
            report(shipping, staff, parcel, "shipped"),
            shipping.deliver(cancel_command(order.order_id)),
        )
        events = await shipping.published()
        names = {
            type(each).__name__
            for each in events
            if each.subject() in (order.subject(), str(parcel))
        }
        won = shipped.status_code == 201
        assert ("ShipmentHandedOver" in names) is won
        assert ("ShipmentAlreadySent" in names) is won
        assert ("ShipmentsCancelled" in names) is not won
        assert won or shipped.json()["code"] == "shipment_cancelled"


async def test_a_repeated_report_is_published_once(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    _, [parcel] = await create_shipments(shipping, method_id)
    at = {"occurred_at": "2026-11-20T12:00:00+01:00"}
    answers = [await report(shipping, staff, parcel, "shipped", **at) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len(await shipping.published(ShipmentUpdated)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "lost"},
        {"occurred_at": "2026-11-20T12:00:00"},
        {"occurred_at": "0001-01-01T00:00:00+14:00"},
        {"occurred_at": "9999-12-31T23:59:59-14:00"},
        {"occurred_at": "2099-01-01T00:00:00Z"},
        {"location": "a\u0000b"},
        {"location": "x" * 201},
        {"tracking_number": "a b"},
        {"status": "delivered"},
    ],
)
async def test_an_invalid_report_is_rejected(
    shipping: Harness[Any], method_id: UUID, staff: Headers, wrong: dict[str, str]
) -> None:
    _, [parcel] = await create_shipments(shipping, method_id)
    answer = await report(shipping, staff, parcel, **{"kind": "packed", **wrong})
    assert answer.status_code == 422, answer.text
    assert await shipping.sql("select * from tracking_events") == []


async def test_only_staff_can_record_tracking_events(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    _, [parcel] = await create_shipments(shipping, method_id)
    readers = shipping.signed_in(permissions=("shipping:read",))
    assert (await report(shipping, readers, parcel, "packed")).status_code == 403
    assert (await report(shipping, staff, new_id(), "packed")).status_code == 404


async def test_a_signed_webhook_records_its_report_once(
    shipping: Harness[Any], method_id: UUID, staff: Headers
) -> None:
    _, [parcel] = await create_shipments(shipping, method_id)
    number = (await report(shipping, staff, parcel, "packed")).json()["tracking_number"]
    body = {"tracking_number": number, "type": "shipped", "location": "Hamburg"}
    for _ in range(3):
        assert (await webhook(shipping, body)).status_code == 204
    body = {"shipment_id": str(parcel), "type": "delivered"}
    assert (await webhook(shipping, body, webhook_id="msg_2")).status_code == 204

    assert len(await shipping.published(ShipmentHandedOver)) == 1
    assert [each.status for each in await shipping.published(ShipmentUpdated)] == [
        "packed",
        "in_transit",
        "delivered",
    ]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"secret": "whsec_" + "A" * 40}, "bad_signature"),
        ({"age": 3600}, "bad_signature"),
        ({"age": -3600}, "bad_signature"),
        ({"provider": "unknown"}, "bad_signature"),
        ({"webhook_signature": None}, "bad_signature"),
        ({"webhook_signature": "v1,%%%"}, "bad_signature"),
        ({"webhook_id": "another", "webhook_timestamp": "1"}, "bad_signature"),
    ],
)
async def test_an_unsigned_or_old_webhook_is_rejected(
    shipping: Harness[Any], method_id: UUID, wrong: dict[str, Any], code: str
) -> None:
    _, [parcel] = await create_shipments(shipping, method_id)
    answer = await webhook(shipping, {"shipment_id": str(parcel), "type": "shipped"}, **wrong)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert await shipping.sql("select * from tracking_events") == []


async def test_a_webhook_for_an_unknown_shipment_gets_404(shipping: Harness[Any]) -> None:
    body = {"shipment_id": str(new_id()), "type": "shipped"}
    assert (await webhook(shipping, body)).status_code == 404
    assert (await webhook(shipping, {"type": "shipped"})).status_code == 422
