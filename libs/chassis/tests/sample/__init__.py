"""A small service that only the chassis's tests run: jars that count coins."""
