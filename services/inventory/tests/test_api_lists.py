"""Reading stock, movements and reservations over HTTP."""

from typing import Any
from uuid import UUID

from chassis.ids import new_id
from chassis.pages import encode
from contracts.inventory import ReleaseStock, StockReserved

from .shop import Shop, parcel, wants


async def get(shop: Shop, path: str = "", **params: Any) -> Any:
    return await shop.inventory.client.get(
        f"/v1/admin/stock{path}", params=params, headers=shop.staff()
    )


async def items(shop: Shop, path: str = "", **params: Any) -> list[Any]:
    """All pages of a list, two rows each."""
    found, cursor = [], None
    while True:
        query = {**params, "limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = await get(shop, path, **query)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def test_stock_is_listed_by_sku_and_filtered(shop: Shop) -> None:
    many, few, none = await shop.variant(20, 5), await shop.variant(None, 3), await shop.variant()

    listed = await items(shop)
    assert {row["variant_id"] for row in listed} == {str(many), str(few), str(none)}
    (of_many,) = [row for row in listed if row["variant_id"] == str(many)]
    assert [item["warehouse_code"] for item in of_many["items"]] == ["W1", "W2"]
    assert (of_many["on_hand"], of_many["available"]) == (25, 25)

    async def ids(**params: Any) -> set[str]:
        return {row["variant_id"] for row in await items(shop, **params)}

    assert await ids(availability="low_stock") == {str(few)}
    assert await ids(availability="out_of_stock") == {str(none)}
    assert await ids(warehouse_id=shop.first) == {str(many)}
    assert await ids(product_id=of_many["product_id"]) == {str(many)}
    assert await ids(sku="MUG-0") == {str(many), str(few), str(none)}
    assert await ids(sku="POT") == set()


async def test_movements_are_listed_newest_first(shop: Shop) -> None:
    mug, pot = await shop.variant(5), await shop.variant(5)
    order = wants((mug, 2))
    await shop.inventory.deliver(order)
    (reserved,) = await shop.inventory.published(StockReserved)
    await shop.inventory.deliver(parcel(order.order_id, *reserved.allocations))

    async def moves(**params: Any) -> list[tuple[str, str, int, str | None]]:
        rows = await items(shop, "/movements", **params)
        return [(r["operation"], r["bucket"], r["adjustment"], r["direction"]) for r in rows]

    assert sorted((await moves(variant_id=mug))[:2]) == [
        ("deduct", "on_hand", -2, "out"),
        ("deduct", "reserved", -2, None),
    ]
    assert (await moves(variant_id=mug))[2:] == [
        ("reserve", "reserved", 2, None),
        ("set", "on_hand", 5, "adjustment"),
    ]
    assert len(await moves(reference_id=order.order_id)) == 3
    assert len(await moves(reference_type="manual")) == 2
    assert len(await moves(operation="reserve", bucket="reserved")) == 1
    assert await moves(direction="out") == [("deduct", "on_hand", -2, "out")]
    assert len(await moves(direction="adjustment", warehouse_id=shop.first)) == 2
    assert await moves(direction="in") == []
    assert await moves(user_id=new_id(), variant_id=pot) == []


async def reservations(shop: Shop, **params: Any) -> list[str]:
    return [row["order_id"] for row in await items(shop, "/reservations", **params)]


async def test_reservations_are_filtered_by_age(shop: Shop) -> None:
    mug = await shop.variant(5)
    old, new, refused, gone = wants((mug, 1)), wants((mug, 1)), wants((mug, 9)), new_id()
    for message in (old, new, refused, ReleaseStock(operation_id=new_id(), order_id=gone)):
        await shop.inventory.deliver(message)
    await shop.inventory.sql(
        "update reservations set created_at = now() - interval '1 hour' where order_id = :id",
        id=old.order_id,
    )

    def ids(*orders: UUID) -> list[str]:
        return [str(order) for order in orders]

    assert await reservations(shop) == ids(old.order_id, new.order_id, refused.order_id, gone)
    assert await reservations(shop, state="held") == ids(old.order_id, new.order_id)
    assert await reservations(shop, state="held", older_than=3500) == ids(old.order_id)
    one = (await get(shop, f"/reservations/{old.order_id}")).json()
    assert (one["state"], one["allocations"][0]["quantity"]) == ("held", 1)
    short = (await get(shop, f"/reservations/{refused.order_id}")).json()
    assert (short["state"], short["rejection"], short["allocations"]) == (
        "rejected",
        "insufficient",
        [],
    )
    assert (await get(shop, f"/reservations/{new_id()}")).json()["code"] == "reservation_unknown"


BAD_QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("", {"availability": "plenty"}),
    ("", {"sku": "a\x00b"}),
    ("", {"sku": "a b"}),
    ("", {"warehouse_id": "x"}),
    ("", {"limit": 101}),
    ("/movements", {"direction": "up"}),
    ("/movements", {"user_id": "1"}),
    ("/reservations", {"older_than": -1}),
    ("/reservations", {"older_than": 10**30}),
    ("/reservations", {"state": "gone"}),
    ("/x", {}),
    ("/reservations/x", {}),
]


async def test_an_invalid_query_is_refused(shop: Shop) -> None:
    for path, params in BAD_QUESTIONS:
        answer = await get(shop, path, **params)
        assert answer.status_code == 422, (path, params, answer.text)


SOME_ID = "01a1fdf3-acf7-7791-9f6d-8c0baba47272"
BAD_POSITIONS: list[list[Any]] = [
    [],
    ["x"],
    [None, None],
    ["a\x00b", SOME_ID],
    ["\ud800", SOME_ID],
    [True, SOME_ID],
    ["2026-01-01T00:00:00Z", SOME_ID, "x"],
    [10**30, SOME_ID],
]


async def test_a_bad_cursor_is_refused(shop: Shop) -> None:
    page = [(p, at) for p in ("", "/movements", "/reservations") for at in BAD_POSITIONS]
    moments = ("2026-01-01T00:00:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:00:00-01:00")
    page += [("/reservations", [moment, SOME_ID]) for moment in moments]
    for path, position in page:
        answer = await get(shop, path, cursor=encode(*position))
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor"), (path, position)
