"""The rules of products and categories, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.domain.category import Category, CategoryCycle, CategoryTooDeep
from catalog.domain.product import (
    DiscountNotLower,
    DuplicateOptions,
    LastVariant,
    NotADraftAgain,
    NotCustomizable,
    OptionsMissing,
    PriceTooLow,
    Product,
    VariantNotFound,
)
from catalog.domain.variant import Option, Pricing, ProductImage, Variant
from chassis.ids import new_id

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def a_variant(adjustment: int = 0, **options: str) -> Variant:
    variant = Variant(id=new_id(), price_adjustment_amount=adjustment)
    variant.set_options([Option(name=name, value=value) for name, value in options.items()])
    return variant


def a_product(*variants: Variant, **changes: Any) -> Product:
    product = Product(
        id=new_id(),
        base_price_amount=2000,
        status="active",
        is_customizable=False,
        customization_fields=[],
        variants=list(variants) or [a_variant()],
        images=[],
    )
    for name, value in changes.items():
        setattr(product, name, value)
    return product


def a_category(parent: Category | None = None) -> Category:
    category = Category(id=new_id())
    category.move_under(parent)
    return category


def test_a_discount_holds_from_its_beginning_until_before_its_end() -> None:
    ends = NOW + timedelta(days=1)
    pricing = Pricing(2000, 1500, NOW, ends)

    moments = (NOW - timedelta(seconds=1), NOW, ends - timedelta(seconds=1), ends)
    assert [pricing.amount(at) for at in moments] == [2000, 1500, 1500, 2000]
    assert pricing.changes_after(NOW - timedelta(days=1)) == NOW
    assert pricing.changes_after(NOW) == ends
    assert pricing.changes_after(ends) is None
    assert Pricing(2000, None, None, None).changes_after(NOW) is None


def test_a_variants_price_difference_applies_to_the_discount_too() -> None:
    variant = a_variant(300, size="XL")
    product = a_product(variant)
    product.discount(1500, None, None, NOW)
    assert product.pricing(variant) == Pricing(2300, 1800, NOW, None)


@pytest.mark.parametrize("discount", [2000, 2500])
def test_a_discount_price_must_be_lower(discount: int) -> None:
    product = a_product()
    product.discount(discount, None, None, NOW)
    with pytest.raises(DiscountNotLower):
        product.validate()


def test_a_window_ends_after_it_begins_and_needs_a_price() -> None:
    product = a_product()
    product.discount(1500, NOW, NOW, NOW)
    with pytest.raises(DiscountNotLower):
        product.validate()
    with pytest.raises(DiscountNotLower):
        product.discount(None, NOW, None, NOW)


def test_no_price_falls_below_one_minor_unit() -> None:
    a_product(a_variant(-1999)).validate()
    with pytest.raises(PriceTooLow):
        a_product(a_variant(-2000)).validate()
    product = a_product(a_variant(-1600))
    product.discount(1600, None, None, NOW)
    with pytest.raises(PriceTooLow):
        product.validate()


def test_several_variants_differ_by_their_options() -> None:
    a_product(a_variant(size="S"), a_variant(size="M")).validate()
    with pytest.raises(OptionsMissing):
        a_product(a_variant(), a_variant(size="M")).validate()
    with pytest.raises(DuplicateOptions):
        a_product(a_variant(size="M", colour="red"), a_variant(Colour="RED", Size="m")).validate()


def test_the_last_variant_cannot_be_removed() -> None:
    first, second = a_variant(size="S"), a_variant(size="M")
    product = a_product(first, second)
    product.remove_variant(first, "user:1", NOW)
    assert product.offered == [second]
    with pytest.raises(VariantNotFound):
        product.find_variant(first.id)
    with pytest.raises(LastVariant):
        product.remove_variant(second, "user:1", NOW)


def test_exactly_one_image_of_several_is_primary() -> None:
    product = a_product()
    first, second, third = (ProductImage(id=new_id(), display_order=place) for place in range(3))
    product.add_image(first, as_primary=False)
    product.add_image(second, as_primary=True)
    product.add_image(third, as_primary=False)
    assert [image.is_primary for image in product.images] == [False, True, False]
    product.remove_image(second)
    assert [image.is_primary for image in product.images] == [True, False]
    product.remove_image(first)
    product.remove_image(third)
    assert product.images == []


def test_customization_fields_need_a_customizable_product() -> None:
    field = {"name": "engraving", "type": "text"}
    a_product(is_customizable=True, customization_fields=[field]).validate()
    with pytest.raises(NotCustomizable):
        a_product(customization_fields=[field]).validate()


def test_a_product_that_was_on_sale_cannot_become_a_draft() -> None:
    product = a_product()
    product.set_status("inactive")
    with pytest.raises(NotADraftAgain):
        product.set_status("draft")


def test_a_category_cannot_be_below_itself_or_too_deep() -> None:
    top = a_category()
    middle = a_category(top)
    leaf = a_category(middle)
    assert leaf.path == [top.id, middle.id, leaf.id]
    with pytest.raises(CategoryCycle):
        top.move_under(leaf)
    with pytest.raises(CategoryCycle):
        top.move_under(top)
    with pytest.raises(CategoryTooDeep):
        a_category(leaf)
    with pytest.raises(CategoryTooDeep):
        middle.move_under(a_category(a_category()), [leaf])


def test_a_moved_category_takes_its_subtree_along() -> None:
    top, other = a_category(), a_category()
    middle = a_category(top)
    leaf = a_category(middle)
    middle.move_under(other, [leaf])
    assert leaf.path == [other.id, middle.id, leaf.id]
    middle.move_under(None, [leaf])
    assert (middle.path, middle.depth) == ([middle.id], 1)
    assert (leaf.path, leaf.depth) == ([middle.id, leaf.id], 2)
