"""Orders: checkout, the orders it makes and the saga that brings each to an end."""
