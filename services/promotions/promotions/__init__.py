"""Promotions: coupons, and their uses by orders."""
