"""Catalog's tables with their rules."""

from catalog.domain.category import Category
from catalog.domain.image import ProductImage
from catalog.domain.listing import Listing, VariantStock
from catalog.domain.price import PriceHistory, Pricing
from catalog.domain.product import Product
from catalog.domain.relisting import Relisting
from catalog.domain.tables import Base
from catalog.domain.variant import Option, Variant

__all__ = [
    "Base",
    "Category",
    "Listing",
    "Option",
    "PriceHistory",
    "Pricing",
    "Product",
    "ProductImage",
    "Relisting",
    "Variant",
    "VariantStock",
]
