"""Catalog's queries, by noun."""
