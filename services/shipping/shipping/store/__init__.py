"""Every query of shipping, by noun."""
