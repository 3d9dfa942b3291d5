"""The checkout saga: a flat table of what arrives in a stage, where it leads and what is sent."""
