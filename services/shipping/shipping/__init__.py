"""Shipping: providers, methods, rates, and the parcels of each order."""
