"""What stock is and what may be done with it."""
