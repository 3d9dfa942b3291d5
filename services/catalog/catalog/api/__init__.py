"""Catalog's routes, by noun."""

from catalog.api import admin_categories, admin_products, admin_variants, browsing

routers = [
    browsing.categories_router,
    browsing.products_router,
    admin_categories.router,
    admin_products.router,
    admin_variants.variants,
    admin_variants.images,
]
