"""Catalog's tables and rules."""
