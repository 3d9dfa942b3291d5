"""Which service of the process the current work belongs to, and state that each service has alone.

A process runs one service or several (`python -m chassis.pack`). Each of a service's tasks, and
each of its requests, runs in a context that names it. State at the level of a module would be
shared by all; in a `PerService` each has its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

Value = TypeVar("Value")

_service: ContextVar[str] = ContextVar("service", default="")


def service_name() -> str:
    """The service that the current work belongs to; empty outside of any."""
    return _service.get()


@contextmanager
def use_service(name: str) -> Iterator[None]:
    """Run a block as work of this service, with the tasks that it creates."""
    token = _service.set(name)
    try:
        yield
    finally:
        _service.reset(token)


def edge_of(name: str, app: ASGIApp) -> ASGIApp:
    """The application, with each request as work of its service.

    A server's callbacks may run in the context of another service.
    """

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        with use_service(name):
            await app(scope, receive, send)

    return edge


class PerService(Generic[Value]):
    """A value of each service, made when it is first read."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: dict[str, Value] = {}

    def get(self) -> Value:
        """The current service's value."""
        name = _service.get()
        try:
            return self._values[name]
        except KeyError:
            return self._values.setdefault(name, self._make())

    def set(self, value: Value) -> None:
        """Replace the current service's value."""
        self._values[_service.get()] = value
