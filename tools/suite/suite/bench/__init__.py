"""The load driver of `make bench`: how fast checkouts are, what they cost, and no oversell."""
