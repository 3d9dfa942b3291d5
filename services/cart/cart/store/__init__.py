"""Every query of the cart service, by noun."""
