"""The error that ends a command with a message instead of a traceback."""


class Refusal(Exception):
    """A situation that the operator can correct; the message states how."""
