"""The rules of payments, one module per noun."""
