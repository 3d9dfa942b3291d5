"""Every query of orders, as a named function."""
