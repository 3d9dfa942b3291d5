"""Carts and what they cost; the price at which a cart is locked is the price of its order."""
