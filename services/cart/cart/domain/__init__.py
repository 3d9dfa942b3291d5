"""What carts are, what may be put into them, and what they cost; nothing here does I/O."""
