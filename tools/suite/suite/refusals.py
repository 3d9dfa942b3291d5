"""Errors that end a command with a message instead of a traceback."""


class Refusal(Exception):
    """A situation that the user can correct; the message states how."""


class MissingProgram(Refusal):
    """A required program is not on this machine and cannot be installed."""


class NoFreePorts(Refusal):
    """No block of ports is free in the suite's range."""


class NotReady(Refusal):
    """A process did not become ready within its deadline."""


class MigrationFailed(Refusal):
    """The migration of a service's database failed."""


class NotRunning(Refusal):
    """The instance, or the named process, is not running."""
