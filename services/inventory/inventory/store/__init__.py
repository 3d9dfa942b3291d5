"""Every query of inventory, as named functions."""
