"""The catalogue as staff edit it: what they may do, and what is refused."""

import asyncio
from typing import Any

import pytest

from chassis.ids import new_id
from contracts.catalog import CategoryChanged, ProductChanged


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


async def test_only_staff_may_change_the_catalogue(shop: Any, catalog: Any) -> None:
    for headers, status in (({}, 401), (catalog.signed_in(), 403)):
        for url in ("/v1/admin/products", "/v1/admin/categories"):
            assert (await shop.client.get(url, headers=headers)).status_code == status
            assert (await shop.client.post(url, json={}, headers=headers)).status_code == status


async def test_each_change_publishes_the_whole_product_with_its_sequence(
    shop: Any, catalog: Any
) -> None:
    top = await shop.category()
    shirts = await shop.category("Shirts", parent_id=top["id"])
    made = await shop.product(
        shirts,
        discount_price=usd(1500),
        is_customizable=True,
        customization_fields=[{"name": "initials", "max_length": 3}],
        variants=[
            {
                "sku": "A",
                "options": [{"name": "size", "value": "S"}],
                "price_adjustment": usd(-100),
            },
            {
                "sku": "B",
                "options": [{"name": "size", "value": "L"}],
                "price": usd(2500),
                "lead_time_days": 4,
            },
        ],
    )
    changed = await shop.patch(f"/v1/admin/products/{made['id']}", name="Silk Shirt")
    assert changed.headers["ETag"] == '"2"'

    first, second = await catalog.published(ProductChanged)
    assert (first.sequence, second.sequence, second.name) == (1, 2, "Silk Shirt")
    assert [str(each) for each in first.category_path] == [top["id"], shirts["id"]]
    assert [variant.price.price_amount for variant in first.variants] == [1900, 2500]
    assert [variant.price.discount_price_amount for variant in first.variants] == [1400, 2000]
    assert [variant.description for variant in first.variants] == ["S", "L"]
    assert first.variants[1].lead_time_days == 4
    assert first.customization_fields[0].name == "initials"


async def test_a_retired_product_is_published_as_deleted_and_frees_its_slug(
    shop: Any, catalog: Any, staff: dict[str, str]
) -> None:
    category = await shop.category()
    made = await shop.product(category, slug="shirt")
    url = f"/v1/admin/products/{made['id']}"
    assert (await shop.delete(url)).status_code == 204

    event = (await catalog.published(ProductChanged))[-1]
    assert event.status == "deleted"
    assert not any(variant.is_available for variant in event.variants)
    retired = (await shop.client.get(url, headers=staff)).json()
    assert retired["deleted_at"] is not None
    assert (await shop.delete(url, version=retired["version"])).status_code == 404
    await shop.product(category, slug="shirt", variants=[{"sku": "OTHER"}])
    listed = await shop.client.get(
        "/v1/admin/products", params={"status": "deleted"}, headers=staff
    )
    assert [each["id"] for each in listed.json()["items"]] == [made["id"]]
    assert (await shop.delete(f"/v1/admin/categories/{category['id']}")).status_code == 409


async def test_a_change_needs_the_current_version(shop: Any, staff: dict[str, str]) -> None:
    category = await shop.category()
    made = await shop.product(category, images=[{"url": "https://images.example/a"}])
    product = f"/v1/admin/products/{made['id']}"
    changes: dict[str, dict[str, Any]] = {
        product: {"name": "Silk"},
        f"{product}/variants/{made['variants'][0]['id']}": {"lead_time_days": 2},
        f"{product}/images/{made['images'][0]['id']}": {"alt_text": "a shirt"},
        f"/v1/admin/categories/{category['id']}": {"name": "Garments"},
    }
    for url, change in changes.items():
        assert (await shop.client.patch(url, json=change, headers=staff)).status_code == 428
        assert (await shop.client.delete(url, headers=staff)).status_code == 428
        assert (await shop.patch(url, version=99, **change)).status_code == 412
        assert (await shop.delete(url, version=99)).status_code == 412
        version = (await shop.client.get(product, headers=staff)).json()["version"]
        assert (
            await shop.patch(url, None if "categories" in url else version, **change)
        ).status_code == 200


async def test_of_rival_changes_one_wins(shop: Any) -> None:
    made = await shop.product(await shop.category())
    url = f"/v1/admin/products/{made['id']}"
    answers = await asyncio.gather(
        *(shop.patch(url, version=1, name=f"Shirt {n}") for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_a_removed_variant_still_occupies_its_sku(shop: Any, staff: dict[str, str]) -> None:
    category = await shop.category()
    made = await shop.product(
        category,
        variants=[
            {"sku": "ONE", "options": [{"name": "size", "value": "S"}]},
            {"sku": "TWO", "options": [{"name": "size", "value": "M"}]},
        ],
    )
    variants = f"/v1/admin/products/{made['id']}/variants"
    assert (
        await shop.delete(f"{variants}/{made['variants'][0]['id']}", version=1)
    ).status_code == 204
    body = {"sku": "ONE", "options": [{"name": "size", "value": "S"}]}
    answer = await shop.client.post(variants, json=body, headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_sku")
    added = await shop.made(variants, {**body, "sku": "THREE"})
    assert added["description"] == "S"
    renamed = await shop.patch(f"{variants}/{added['id']}", version=3, sku="FOUR")
    assert renamed.status_code == 422


async def test_twenty_rivals_for_one_sku_make_one_product(shop: Any, staff: dict[str, str]) -> None:
    category = await shop.category()
    body = {
        "category_id": category["id"],
        "name": "Cap",
        "base_price": usd(900),
        "variants": [{"sku": "CAP"}],
    }
    posts = (shop.client.post("/v1/admin/products", json=body, headers=staff) for _ in range(20))
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


async def test_a_bulk_request_creates_all_products_or_none(shop: Any, catalog: Any) -> None:
    category = await shop.category()
    bodies = [
        {
            "category_id": category["id"],
            "name": f"Cap {n}",
            "base_price": usd(900 + n),
            "status": "active",
            "variants": [{"sku": f"CAP-{n}"}],
        }
        for n in range(5)
    ]
    url = "/v1/admin/products/bulk"
    double = {"items": [*bodies, bodies[0]]}
    refused = await shop.client.post(url, json=double, headers=shop.staff)
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_sku")
    made = await shop.made(url, {"items": bodies})

    assert [each["name"] for each in made["items"]] == [body["name"] for body in bodies]
    assert len(await catalog.published(ProductChanged)) == 5
    listed = await shop.client.get("/v1/products", params={"sort": "price"})
    assert [card["id"] for card in listed.json()["items"]] == [each["id"] for each in made["items"]]


async def test_two_variants_cannot_have_the_same_options(shop: Any, staff: dict[str, str]) -> None:
    made = await shop.product(
        await shop.category(),
        variants=[
            {"sku": "A", "options": [{"name": "size", "value": "S"}]},
        ],
    )
    url = f"/v1/admin/products/{made['id']}/variants"
    same = {"sku": "B", "options": [{"name": "Size", "value": "s"}]}
    assert (await shop.client.post(url, json=same, headers=staff)).json()[
        "code"
    ] == "duplicate_options"
    bare = await shop.client.post(url, json={"sku": "B"}, headers=staff)
    assert bare.json()["code"] == "options_missing"
    only = await shop.delete(f"{url}/{made['variants'][0]['id']}", version=1)
    assert only.json()["code"] == "last_variant"


async def test_images_have_one_primary(shop: Any, staff: dict[str, str]) -> None:
    made = await shop.product(await shop.category())
    product = f"/v1/admin/products/{made['id']}"
    first = await shop.made(
        f"{product}/images", {"url": "https://images.example/1", "display_order": 1}
    )
    second = await shop.made(
        f"{product}/images", {"url": "https://images.example/2", "display_order": 2}
    )
    assert (first["is_primary"], second["is_primary"]) == (True, False)
    featured = await shop.patch(f"{product}/images/{second['id']}", version=3, is_primary=True)
    assert featured.json()["is_primary"]
    assert (await shop.delete(f"{product}/images/{second['id']}", version=4)).status_code == 204
    images = (await shop.client.get(product, headers=staff)).json()["images"]
    assert [(image["id"], image["is_primary"]) for image in images] == [(first["id"], True)]
    assert (await shop.delete(f"{product}/images/{second['id']}", version=5)).status_code == 404


async def test_the_tree_refuses_cycles_depth_and_duplicates(
    shop: Any, staff: dict[str, str]
) -> None:
    top = await shop.category("Top")
    middle = await shop.category("Middle", parent_id=top["id"])
    leaf = await shop.category("Leaf", parent_id=middle["id"])

    cycle = await shop.patch(f"/v1/admin/categories/{top['id']}", parent_id=leaf["id"])
    assert (cycle.status_code, cycle.json()["code"]) == (409, "category_cycle")

    async def refused(**body: Any) -> str:
        answer = await shop.client.post("/v1/admin/categories", json=body, headers=staff)
        return f"{answer.status_code} {answer.json()['code']}"

    assert await refused(name="Deeper", parent_id=leaf["id"]) == "409 category_too_deep"
    assert await refused(name="TOP", slug="summit") == "409 category_name_taken"
    assert await refused(name="Another", slug="top") == "409 slug_taken"
    assert await refused(name="Lost", parent_id=str(new_id())) == "422 unknown_category"
    assert await refused(name="***") == "422 slug_missing"
    assert (await shop.delete(f"/v1/admin/categories/{middle['id']}")).status_code == 409


async def test_a_moved_category_moves_its_products(shop: Any, catalog: Any) -> None:
    top, other = await shop.category("Top"), await shop.category("Other")
    leaf = await shop.category("Leaf", parent_id=top["id"])
    made = await shop.product(leaf)
    await catalog.clear_outbox()
    url = f"/v1/admin/categories/{leaf['id']}"
    assert (await shop.patch(url, parent_id=other["id"])).status_code == 200

    (moved,) = await catalog.published(ProductChanged)
    assert [str(each) for each in moved.category_path] == [other["id"], leaf["id"]]
    page = (await shop.client.get(f"/v1/products/{made['id']}")).json()
    assert [link["name"] for link in page["category_path"]] == ["Other", "Leaf"]
    assert (await shop.patch(url, parent_id=None)).json()["depth"] == 1
    taken = await shop.patch(url, slug="top", parent_id=top["id"])
    assert (taken.status_code, taken.json()["code"]) == (409, "slug_taken")
    assert (await shop.patch(url, name="Leaves")).status_code == 200
    page = (await shop.client.get(f"/v1/products/{made['id']}")).json()
    assert [link["name"] for link in page["category_path"]] == ["Leaves"]


async def test_an_empty_category_can_be_deleted(shop: Any, catalog: Any) -> None:
    category = await shop.category()
    made = await shop.product(category)
    url = f"/v1/admin/categories/{category['id']}"
    assert (await shop.delete(url)).json()["code"] == "category_in_use"
    assert (await shop.delete(f"/v1/admin/products/{made['id']}")).status_code == 204
    assert (await shop.delete(url)).status_code == 204
    assert (await catalog.published(CategoryChanged))[-1].is_deleted
    assert (await shop.client.get(url, headers=shop.staff)).status_code == 404


PRODUCT: dict[str, Any] = {"name": "Cap", "base_price": usd(900), "variants": [{"sku": "CAP"}]}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"base_price": usd(0)}, 422),
        ({"base_price": usd(-5)}, 422),
        ({"base_price": usd(10**40)}, 422),
        ({"base_price": {"amount": 900.5, "currency": "USD"}}, 422),
        ({"base_price": {"amount": 900, "currency": "usd"}}, 422),
        ({"discount_price": {"amount": 800, "currency": "EUR"}}, 409),
        ({"discount_price": usd(900)}, 409),
        ({"discount_until": "2026-12-01T00:00:00Z"}, 409),
        ({"discount_price": usd(1), "discount_from": "2026-12-01T00:00:00"}, 422),
        ({"discount_price": usd(1), "discount_from": "9999-12-31T23:59:59-12:00"}, 422),
        ({"name": "x"}, 422),
        ({"name": "a\0b"}, 422),
        ({"slug": "0190abcd-0000-7000-8000-000000000000"}, 422),
        ({"slug": "Not A Slug"}, 422),
        ({"variants": []}, 422),
        ({"variants": [{"sku": "A"}, {"sku": "A"}]}, 422),
        ({"variants": [{"sku": "A", "price": usd(900), "price_adjustment": usd(1)}]}, 422),
        ({"variants": [{"sku": "A", "price_adjustment": usd(-900)}]}, 409),
        ({"variants": [{"sku": "A", "price": {"amount": 5, "currency": "EUR"}}]}, 409),
        ({"variants": [{"sku": "A", "options": [{"name": "a:b", "value": "c"}]}]}, 422),
        ({"images": [{"url": "javascript:alert(1)"}]}, 422),
        ({"customization_fields": [{"name": "initials"}]}, 422),
        ({"status": "deleted"}, 422),
        ({"seller_id": "me"}, 422),
        ({"is_admin": True}, 422),
    ],
)
async def test_an_invalid_product_is_refused(
    shop: Any, staff: dict[str, str], change: dict[str, Any], status: int
) -> None:
    category = await shop.category()
    body = {"category_id": category["id"], **PRODUCT, **change}
    answer = await shop.client.post("/v1/admin/products", json=body, headers=staff)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "change", [{}, {"name": None}, {"base_price": None}, {"category_id": str(new_id())}]
)
async def test_an_invalid_change_is_refused(shop: Any, change: dict[str, Any]) -> None:
    made = await shop.product(await shop.category())
    answer = await shop.patch(f"/v1/admin/products/{made['id']}", **change)
    assert answer.status_code == 422, answer.text


async def test_the_longest_texts_are_stored(shop: Any) -> None:
    options = [{"name": f"{n}" + "é" * 49, "value": "🧢" * 100} for n in range(5)]
    await shop.product(
        await shop.category("🧢" * 99 + "x"),
        "Ω" * 200,
        slug="cap",
        description="Ω " * 2500,
        variants=[{"sku": "A" * 50, "options": options}],
        images=[{"url": "https://images.example/" + "a" * 470}],
    )
    assert (await shop.client.get("/v1/products/cap")).status_code == 200


async def test_staff_find_products(shop: Any, staff: dict[str, str]) -> None:
    top = await shop.category()
    caps = await shop.category("Caps", parent_id=top["id"])
    await shop.product(caps, "Red Cap", status="draft")
    await shop.product(caps, "Blue Cap")

    async def found(**query: Any) -> list[str]:
        answer = await shop.client.get("/v1/admin/products", params=query, headers=staff)
        return [each["name"] for each in answer.json()["items"]]

    assert await found() == ["Blue Cap", "Red Cap"]
    assert await found(status="draft") == ["Red Cap"]
    assert await found(category_id=top["id"]) == ["Blue Cap", "Red Cap"]
    assert await found(sku="BLUE-CAP") == ["Blue Cap"]
    assert await found(name="red c") == ["Red Cap"]
    assert await found(name="%") == []
    assert await found(seller_id=str(new_id())) == []
