"""Every query of identity, as named functions."""
