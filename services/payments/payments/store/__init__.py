"""Every query of payments, as named functions, one module per noun."""
