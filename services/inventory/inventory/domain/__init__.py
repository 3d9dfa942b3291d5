"""Inventory's tables and rules."""
