"""`python -m chassis.pack cart catalog …` runs several services in one process.

Each has its own port, database, broker user and queue, and calls the others over HTTP: from outside
a pack looks like separate processes. The variables of a service have its name as prefix,
such as ORDERS_DATABASE_URL; the bare names are not read.
"""

import argparse
import gc
import importlib
import socket
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from chassis import process
from chassis.service import Service
from chassis.settings import ServiceSettings, explain

CANNOT_START = "The pack cannot start, and nothing was started:"

Loaded = tuple[Service[Any], ServiceSettings]


class CannotStart(Exception):
    """The faults of all services, one a line."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join([CANNOT_START, *faults]))


def load(names: Sequence[str]) -> list[Loaded]:
    """The services with their settings. Raises CannotStart with every fault of every service."""
    faults = [f"  {name} is named twice" for name in sorted(set(names)) if names.count(name) > 1]
    loaded: list[Loaded] = []
    for name in dict.fromkeys(names):
        service = _find(name)
        if service is None:
            faults.append(f"  there is no service {name!r}")
            continue
        prefix = f"{name}_".upper()
        try:
            loaded.append((service, service.settings(_env_prefix=prefix)))
        except ValidationError as error:
            faults.append(explain(service.settings, error, prefix))
    faults += _port_faults(loaded)
    if faults:
        raise CannotStart(faults)
    return loaded


def _find(name: str) -> Service[Any] | None:
    """The service that `<name>.main` composes."""
    if not name.isidentifier():
        return None
    try:
        main = importlib.import_module(f"{name}.main")
    except ModuleNotFoundError as error:
        if error.name in (name, f"{name}.main"):
            return None
        raise
    service = getattr(main, "service", None)
    return service if isinstance(service, Service) else None


def _port_faults(loaded: Sequence[Loaded]) -> list[str]:
    """The ports that two services share, or that another process uses."""
    faults = []
    owners: dict[int, str] = {}
    for service, settings in loaded:
        owner = owners.setdefault(settings.port, service.name)
        variable = f"{service.name}_PORT".upper()
        if owner != service.name:
            faults.append(f"  {variable}: {settings.port} is the port of {owner}")
        elif (fault := _bind(settings)) is not None:
            faults.append(f"  {variable}: {settings.port} cannot be bound: {fault}")
    return faults


def _bind(settings: ServiceSettings) -> OSError | None:
    """Try whether the service can listen."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return error
    return None


def main() -> None:
    """Run the named services until SIGTERM or SIGINT; exit with 2 and every fault at once."""
    gc.disable()
    parser = argparse.ArgumentParser(prog="python -m chassis.pack", description=__doc__)
    parser.add_argument("services", nargs="+", metavar="service", help="the names of services")
    names = parser.parse_args().services
    try:
        loaded = load(names)
    except CannotStart as faults:
        print(faults, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    sys.exit(process.run("pack", loaded))


if __name__ == "__main__":
    main()
