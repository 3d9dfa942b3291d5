"""The situations in which the command stops and says what to type next."""


class Refusal(Exception):
    """Something the person at the keyboard can mend; the message says how."""
