"""What an order is, and what it may do and must refuse."""
