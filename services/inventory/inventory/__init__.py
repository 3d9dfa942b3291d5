"""Inventory: the stock in every warehouse, what orders have reserved, and every movement."""
