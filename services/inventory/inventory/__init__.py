"""Inventory: what is on the shelves, what is promised to orders, every piece that moved."""
