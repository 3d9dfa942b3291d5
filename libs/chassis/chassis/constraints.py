"""Maps violated constraints to refusals, by the constraint's name."""

import ast
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asyncpg import IntegrityConstraintViolationError
from sqlalchemy.exc import IntegrityError

from chassis.driver_errors import cause_of
from chassis.errors import Problem


@contextmanager
def violations_as(**refusals: type[Problem]) -> Iterator[None]:
    """Raise the refusal that is named for the violated constraint.

    As in `with violations_as(uq_coupons_code=CodeTaken): await tx.flush()`. A constraint that is
    not named is a fault and raises the database's error as before. The names are spelt out at the
    call: `named_in` reads them there, and a test of each service compares them with its database.
    """
    try:
        yield
    except (IntegrityError, IntegrityConstraintViolationError) as error:
        refusal = refusals.get(constraint_of(error) or "")
        if refusal is None:
            raise
        raise refusal from None


def constraint_of(error: BaseException) -> str | None:
    """The violated constraint or unique index; None for a NOT NULL violation."""
    name: str | None = getattr(cause_of(error), "constraint_name", None)
    return name


def named_in(package: str) -> set[str]:
    """The constraints that the code of a package names in its calls of `violations_as`."""
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    return {
        name
        for place in places
        for file in Path(place).rglob("*.py")
        for name in constraints_in(file.read_text())
    }


def constraints_in(source: str) -> Iterator[str]:
    """The constraints that a module's source names in its calls of `violations_as`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "violations_as":
            yield from (word.arg or "(not spelt out)" for word in node.keywords)
