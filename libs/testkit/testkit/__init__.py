"""What tests of several packages share; no image and no service contains it."""
