"""The provider's HTTP routes, one module per noun."""
