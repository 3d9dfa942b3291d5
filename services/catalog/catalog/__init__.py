"""Catalog: what the shop sells, and how customers find it."""
