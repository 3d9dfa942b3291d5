"""Inventory: what is on the shelves, what is promised to orders, and every piece that ever moved."""
