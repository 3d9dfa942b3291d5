"""Inventory's queries."""
