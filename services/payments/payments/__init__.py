"""Payments: the money of orders, taken and given back through providers."""
