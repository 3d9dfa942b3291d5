"""The load driver of `make bench`: the speed and cost of checkouts, and a test for overselling."""
