"""The checkout saga: a flat table of what is heard, where it leads and what is sent."""
