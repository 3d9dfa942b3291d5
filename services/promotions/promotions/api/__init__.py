"""Promotions' routes, by noun."""

from promotions.api import coupons, evaluation

routers = [coupons.router, evaluation.internal]
