"""The situations in which the runner stops and says what to do next."""


class Refusal(Exception):
    """Something the person at the keyboard can mend; the message says how."""


class MissingProgram(Refusal):
    """A server the suite needs is not on this machine and may not be installed."""


class NoFreePorts(Refusal):
    """No block of ports is free in the range the suite uses."""


class NotReady(Refusal):
    """A process did not become ready within its deadline."""


class MigrationFailed(Refusal):
    """The database of a service could not be brought to its newest form."""


class NotRunning(Refusal):
    """The instance, or the process asked for, is not running."""
