"""Catalog's routes, by noun."""

from catalog.api import (
    admin_categories,
    admin_images,
    admin_products,
    admin_variants,
    categories,
    products,
)

routers = [
    categories.router,
    products.router,
    admin_categories.router,
    admin_products.router,
    admin_variants.router,
    admin_images.router,
]
