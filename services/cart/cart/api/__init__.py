"""The cart service's routes, by noun."""

from cart.api import carts, checkout, items, tax_rates

routers = [carts.router, items.router, tax_rates.router, checkout.router]
