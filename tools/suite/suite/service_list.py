"""services.toml, the one list of services, as the runner, the tools and the tests read it."""

import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from suite.refusals import Refusal

FILE = Path("services.toml")
# Queues, databases, DNS labels and Python packages carry the name: all of them allow these letters.
NAME = r"^[a-z]{2,30}$"

Name = Annotated[str, Field(pattern=NAME)]
Prefix = Annotated[str, Field(pattern=r"^/v1(/[a-z0-9-]+)+$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Entry(BaseModel):
    """One service; services.toml describes the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    routes: tuple[Prefix, ...] = ()
    calls: tuple[Name, ...] = ()
    settings: dict[Variable, str] = {}
    secrets: dict[Variable, str] = {}
    migration_secrets: dict[Variable, str] = {}
    store_secrets: tuple[Variable, ...] = ()
    key_files: dict[Variable, str] = {}
    outside: bool = False
    memory: str = "256m"

    @property
    def all_secrets(self) -> dict[str, str]:
        """The generated secrets of the service and of its migration, by variable."""
        return self.secrets | self.migration_secrets

    @property
    def stored_variables(self) -> tuple[str, ...]:
        """The variables of the service that the secret store of a cluster fills in."""
        return (*self.secrets, *self.store_secrets)


class ServiceList(BaseModel):
    """The whole file: the services by name, in its order, and packs of services."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: dict[Name, Entry]
    packs: dict[Name, tuple[Name, ...]] = {}

    @model_validator(mode="before")
    @classmethod
    def _name_the_entries(cls, file: Any) -> Any:
        tables = file.get("services", {})
        return {**file, "services": {name: {**tables[name], "name": name} for name in tables}}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        owners: dict[str, str] = {}
        for name, entry in self.services.items():
            if unknown := set(entry.calls) - set(self.services):
                raise ValueError(f"{name} calls {', '.join(sorted(unknown))}, not a service")
            for prefix in entry.routes:
                if prefix in owners:
                    raise ValueError(f"{prefix} belongs to both {owners[prefix]} and {name}")
                owners[prefix] = name
        for name, members in self.packs.items():
            if unknown := set(members) - set(self.services):
                raise ValueError(f"pack {name} holds {', '.join(sorted(unknown))}, not a service")
            if name in self.services:
                raise ValueError(f"pack {name} has the name of a service")
        packed = [member for each in self.packs.values() for member in each]
        if twice := {member for member in packed if packed.count(member) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))}: in two packs")
        return self


def load(root: Path) -> dict[str, Entry]:
    """Return the services of the working tree by name; raises Refusal for a wrong file."""
    return read(root).services


@functools.cache
def read(root: Path) -> ServiceList:
    """Return the whole list of the working tree; raises Refusal for a wrong file."""
    file = root / FILE
    try:
        return ServiceList.model_validate(tomllib.loads(file.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Refusal(f"{FILE}: {error}") from None
    except ValidationError as error:
        raise Refusal(f"{FILE}: {'; '.join(_faults(error))}") from None


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in fault["loc"])
        yield f"{place}: {fault['msg']}" if place else fault["msg"]
