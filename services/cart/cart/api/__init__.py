"""The cart service's routes, by noun."""

from cart.api import carts, coupon, internal, items, tax_rates

routers = [carts.router, items.router, coupon.router, tax_rates.router, internal.router]
