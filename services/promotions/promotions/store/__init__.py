"""Every query of promotions, by noun."""
