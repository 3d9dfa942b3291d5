"""How customers find products: trees, filters, search, pages, ETags, prices."""

from datetime import timedelta
from typing import Any

import pytest

from catalog.jobs import apply_price_changes
from catalog.main import service
from chassis.ids import new_id, utcnow
from testkit.harness import model_differences


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


async def names(shop: Any, **query: Any) -> list[str]:
    answer = await shop.client.get("/v1/products", params=query)
    assert answer.status_code == 200, answer.text
    return [card["name"] for card in answer.json()["items"]]


def test_the_models_are_what_the_migrations_make(template: str) -> None:
    assert model_differences(service, template) == []


async def test_a_product_is_found_by_id_and_by_slug(shop: Any) -> None:
    shirts = await shop.category("Shirts", parent_id=(await shop.category())["id"])
    made = await shop.product(
        shirts,
        slug="linen-shirt",
        variants=[
            {"sku": "L-S", "options": [{"name": "size", "value": "S"}]},
            {"sku": "L-XL", "options": [{"name": "size", "value": "XL"}], "price": usd(2300)},
        ],
        images=[
            {"url": "https://images.example/a.jpg"},
            {"url": "https://images.example/b.jpg", "is_primary": True},
        ],
    )

    page = (await shop.client.get(f"/v1/products/{made['id']}")).json()
    assert page == (await shop.client.get("/v1/products/linen-shirt")).json()
    assert [link["name"] for link in page["category_path"]] == ["Clothes", "Shirts"]
    assert page["price"] == usd(2000)
    assert page["has_several_prices"]
    assert page["options"] == [{"name": "size", "values": ["S", "XL"]}]
    assert [variant["price"]["amount"] for variant in page["variants"]] == [2000, 2300]
    assert page["image_url"] == "https://images.example/b.jpg"
    assert [image["is_primary"] for image in page["images"]] == [True, False]
    assert page["availability"] == "out_of_stock"


async def test_an_unchanged_page_gets_a_304(shop: Any) -> None:
    made = await shop.product(await shop.category())
    for url in (f"/v1/products/{made['id']}", "/v1/products", "/v1/categories"):
        first = await shop.client.get(url)
        again = await shop.client.get(url, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b""), url
    url = f"/v1/products/{made['id']}"
    known = (await shop.client.get(url)).headers["ETag"]
    assert (await shop.patch(f"/v1/admin{url[3:]}", name="Silk Shirt")).status_code == 200
    changed = await shop.client.get(url, headers={"If-None-Match": known})
    assert changed.json()["name"] == "Silk Shirt"


async def test_customers_see_only_products_on_sale(shop: Any) -> None:
    category = await shop.category()
    await shop.product(category, "Draft Shirt", status="draft")
    shown = await shop.product(category, "Blue Shirt")
    gone = await shop.product(category, "Old Shirt")
    assert (await shop.delete(f"/v1/admin/products/{gone['id']}")).status_code == 204

    assert await names(shop) == ["Blue Shirt"]
    assert (await shop.client.get(f"/v1/products/{gone['id']}")).status_code == 404
    assert (await shop.client.get("/v1/products/nothing-like-it")).status_code == 404
    hidden = await shop.patch(f"/v1/admin/categories/{category['id']}", is_active=False)
    assert hidden.status_code == 200
    assert await names(shop) == []
    assert (await shop.client.get(f"/v1/products/{shown['id']}")).status_code == 404


async def test_filters_narrow_the_list(shop: Any) -> None:
    top = await shop.category("Clothes")
    shirts = await shop.category("Shirts", parent_id=top["id"])
    tools = await shop.category("Tools")
    seller = str(new_id())
    await shop.product(
        shirts,
        "Red Shirt",
        variants=[
            {
                "sku": "R-S",
                "options": [{"name": "Size", "value": "S"}, {"name": "Colour", "value": "Red"}],
            },
            {
                "sku": "R-M",
                "options": [{"name": "Size", "value": "M"}, {"name": "Colour", "value": "Red"}],
            },
        ],
    )
    await shop.product(
        shirts,
        "Blue Shirt",
        base_price=usd(5000),
        variants=[
            {
                "sku": "B-M",
                "options": [{"name": "Size", "value": "M"}, {"name": "Colour", "value": "Blue"}],
            },
        ],
    )
    await shop.product(tools, "Hammer", seller_id=seller, base_price=usd(900))

    assert await names(shop, category=top["id"]) == ["Blue Shirt", "Red Shirt"]
    assert await names(shop, category="shirts", sort="price") == ["Red Shirt", "Blue Shirt"]
    assert await names(shop, category="no-such") == []
    assert await names(shop, seller_id=seller) == ["Hammer"]
    assert await names(shop, price_from=1000, price_to=3000) == ["Red Shirt"]
    assert await names(shop, option=["size:s", "size:M"]) == ["Blue Shirt", "Red Shirt"]
    assert await names(shop, option=["size:M", "colour:red"]) == ["Red Shirt"]
    assert await names(shop, availability="in_stock") == []
    assert await names(shop, currency="EUR") == []
    assert await names(shop, sort="name") == ["Blue Shirt", "Hammer", "Red Shirt"]


async def test_a_search_ranks_names_first_and_forgives_typos(shop: Any) -> None:
    category = await shop.category("Audio")
    await shop.product(category, "Desk Lamp", description="Bright enough to find your headphones.")
    await shop.product(category, "Wireless Headphones")
    await shop.product(category, "Oak Table")

    assert await names(shop, q="headphone") == ["Wireless Headphones", "Desk Lamp"]
    assert await names(shop, q="hedphones") == ["Wireless Headphones"]
    assert await names(shop, q="wirless hedphone") == ["Wireless Headphones"]
    assert await names(shop, q="oak tabel") == ["Oak Table"]
    assert await names(shop, q="submarine") == []
    assert await names(shop, q='"; select (& | !') == []


@pytest.mark.parametrize("sort", ["newest", "price", "-price", "name", "relevance"])
async def test_pages_walk_the_whole_list_in_every_order(shop: Any, sort: str) -> None:
    category = await shop.category()
    for number in range(7):
        await shop.product(category, f"Cap {number}", base_price=usd(1000 + number % 3))
    seen: list[str] = []
    query = {"limit": 3, "sort": sort, "q": "cap"}
    while True:
        page = (await shop.client.get("/v1/products", params=query)).json()
        seen += [card["name"] for card in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7


async def test_facets_count_the_whole_list(shop: Any) -> None:
    top = await shop.category()
    caps = await shop.category("Caps", parent_id=top["id"])
    for number, size in enumerate(["S", "M", "M"]):
        options = [{"name": "size", "value": size}]
        await shop.product(
            caps,
            f"Cap {number}",
            base_price=usd(1000 + number),
            variants=[{"sku": f"C{number}", "options": options}],
        )
    answer = await shop.client.get("/v1/products", params={"facets": "true", "limit": 1})
    facets = answer.json()["facets"]

    assert facets["option"] == [{"value": "size:m", "count": 2}, {"value": "size:s", "count": 1}]
    assert {facet["value"]: facet["count"] for facet in facets["category"]} == {
        top["id"]: 3,
        caps["id"]: 3,
    }
    assert facets["availability"] == [{"value": "out_of_stock", "count": 3}]
    assert facets["price"] == [{"currency": "USD", "min_amount": 1000, "max_amount": 1002}]


@pytest.mark.parametrize(
    "query",
    [
        {"q": "a\0b"},
        {"category": "a\0b"},
        {"price_from": "-1"},
        {"price_from": "1e3"},
        {"price_to": "9" * 40},
        {"option": "nothing"},
        {"option": ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"]},
        {"seller_id": "x"},
        {"sort": "random"},
        {"sort": "relevance"},
        {"limit": "1000"},
        {"cursor": "WyJ4Il0"},
        {
            "sort": "name",
            "cursor": "WyJhXHUwMDAwYiIsICIwMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAiXQ",
        },
        {
            "sort": "price",
            "cursor": "WzFlMTAwLCAiMDE5MDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwIl0",
        },
        {
            "sort": "price",
            "cursor": "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LCAiMDE5MDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwIl0",
        },
    ],
)
async def test_an_invalid_query_is_refused(shop: Any, query: dict[str, Any]) -> None:
    answer = await shop.client.get("/v1/products", params=query)
    assert answer.status_code in (400, 422), answer.text


async def test_a_discount_shows_the_lowest_price_of_the_thirty_days_before(
    shop: Any, catalog: Any
) -> None:
    made = await shop.product(await shop.category())
    url = f"/v1/admin/products/{made['id']}"
    assert (await shop.patch(url, base_price=usd(1800))).status_code == 200
    assert (await shop.patch(url, base_price=usd(2500))).status_code == 200
    assert (await shop.patch(url, discount_price=usd(2200))).status_code == 200

    page = (await shop.client.get(f"/v1/products/{made['id']}")).json()
    assert page["price"] == usd(2200)
    assert page["regular_price"] == usd(2500)
    assert page["lowest_price_30_days"] == usd(1800)
    history = await catalog.sql("select amount from price_history order by valid_from, id")
    assert [row.amount for row in history] == [2000, 1800, 2500, 2200]
    assert len(await catalog.sql("select 1 from price_history where valid_until is null")) == 1


async def test_a_sweep_applies_a_discount_that_begins_or_ends(shop: Any, catalog: Any) -> None:
    soon, later = utcnow() + timedelta(hours=1), utcnow() + timedelta(hours=2)
    made = await shop.product(
        await shop.category(),
        discount_price=usd(1500),
        discount_from=soon.isoformat(),
        discount_until=later.isoformat(),
    )
    url = f"/v1/products/{made['id']}"
    assert (await shop.client.get(url)).json()["price"] == usd(2000)
    assert await apply_price_changes(catalog.running.database) == 0

    # Time is moved by moving the window, as though the hours had passed.
    shift = "interval '90 minutes'"
    await catalog.sql(
        f"update products set discount_from = discount_from - {shift}, "
        f"discount_until = discount_until - {shift}, price_changes_at = price_changes_at - {shift}"
    )
    await catalog.sql(f"update price_history set valid_from = valid_from - {shift}")
    assert await apply_price_changes(catalog.running.database) == 1
    page = (await shop.client.get(url)).json()
    assert (page["price"], page["lowest_price_30_days"]) == (usd(1500), usd(2000))

    shift = "interval '60 minutes'"
    await catalog.sql(
        f"update products set discount_from = discount_from - {shift}, "
        f"discount_until = discount_until - {shift}, price_changes_at = price_changes_at - {shift}"
    )
    assert await apply_price_changes(catalog.running.database) == 1
    assert (await shop.client.get(url)).json()["price"] == usd(2000)
    history = await catalog.sql("select amount from price_history order by valid_from, id")
    assert sorted(row.amount for row in history) == [1500, 2000, 2000]
    assert await apply_price_changes(catalog.running.database) == 0


async def test_a_product_that_cannot_be_repriced_leaves_the_others(shop: Any, catalog: Any) -> None:
    soon, category = utcnow() + timedelta(hours=1), await shop.category()
    broken, other = [
        await shop.product(category, name, discount_price=usd(1500), discount_from=soon.isoformat())
        for name in ("Shirt", "Coat")
    ]
    shift = "interval '90 minutes'"
    await catalog.sql(
        f"update products set discount_from = discount_from - {shift}, "
        f"price_changes_at = price_changes_at - {shift}"
    )
    await catalog.sql(
        "alter table price_history add constraint broken "
        f"check (amount <> 1500 or variant_id <> '{broken['variants'][0]['id']}') not valid"
    )
    assert await apply_price_changes(catalog.running.database) == 1
    assert (await shop.client.get(f"/v1/products/{other['id']}")).json()["price"] == usd(1500)
    assert await apply_price_changes(catalog.running.database) == 0


async def test_the_tree_shows_active_categories_in_their_order(shop: Any) -> None:
    top = await shop.category("Home", display_order=2)
    await shop.category("Clothes", display_order=1)
    kitchen = await shop.category("Kitchen", parent_id=top["id"])
    await shop.category("Pans", parent_id=kitchen["id"])
    hidden = await shop.category("Hidden", is_active=False)
    await shop.category("Below Hidden", parent_id=hidden["id"])

    tree = (await shop.client.get("/v1/categories")).json()["items"]
    assert [node["name"] for node in tree] == ["Clothes", "Home"]
    assert tree[1]["children"][0]["children"][0]["slug"] == "pans"
    assert (await shop.client.get("/v1/categories/kitchen")).json()["depth"] == 2
    assert (await shop.client.get("/v1/categories/hidden")).status_code == 404
