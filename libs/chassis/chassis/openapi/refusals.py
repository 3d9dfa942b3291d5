"""Finds the refusals of a route by static analysis: every Problem that its call graph may raise.

The analysis follows the endpoint, its dependencies and all they call, inside the service and the
chassis, and collects the subclasses of `chassis.errors.Problem`. A method of an object of unknown
class is found by name: a superfluous refusal is better than an undocumented one. The test harness
checks every response against the result (`chassis.testing`).
"""

import ast
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar

from chassis.errors import Problem
from chassis.openapi.scope import Scope, owner_of

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__refuses__"
# Method names of built-in containers, which are not searched by name.
OF_CONTAINERS = {name for kind in (str, bytes, list, dict, set) for name in dir(kind)}


@dataclass(frozen=True, order=True)
class Refusal:
    """A refusal: status, code and default detail."""

    status: int
    code: str
    detail: str


FAULT = Refusal(500, Problem.code, "Something went wrong on our side.")


def refuses(status: int, *codes: str) -> Callable[[Function], Function]:
    """Declare refusals of a function that static analysis cannot find.

    Such as those of another service that it passes on, or with codes that are computed.
    """

    def mark(function: Function) -> Function:
        known = getattr(function, MARK, ())
        declared = tuple(Refusal(status, code, "The detail gives the reason.") for code in codes)
        setattr(function, MARK, (*known, *declared))
        return function

    return mark


def of_class(problem: type[Problem], code: str | None = None, detail: str = "") -> Refusal:
    """The refusal of a class; a different `code` comes with its own detail."""
    if problem is Problem and code is None:
        return FAULT
    words = (detail if code else "") or (problem.__doc__ or "").split("\n")[0]
    return Refusal(problem.status, code or problem.code, words)


def _plain(value: Any) -> FunctionType | None:
    """The function behind decorators, methods, properties and partials, if any."""
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, staticmethod | classmethod) or inspect.ismethod(value):
        value = value.__func__
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, type):
        value = vars(value).get("__init__")
    return value if isinstance(value, FunctionType) else None


class Code:
    """The code to analyse: a service's package and the chassis."""

    def __init__(self, modules: Iterable[str]) -> None:
        """Take modules of the service, all of whose modules must be imported."""
        self.packages = {module.partition(".")[0] for module in modules} | {"chassis"}
        self.methods: dict[str, list[tuple[FunctionType, bool]]] = {}
        self.known: dict[FunctionType, tuple[set[Refusal], list[FunctionType]]] = {}
        for owner in self._classes():
            for name, member in vars(owner).items():
                if (function := _plain(member)) is not None and name[:2] != "__":
                    found = (function, isinstance(member, property))
                    self.methods.setdefault(name, []).append(found)

    def refusals(self, roots: Iterable[Callable[..., Any]]) -> set[Refusal]:
        """The refusals of these functions and of all they call."""
        found: set[Refusal] = set()
        seen: set[FunctionType] = set()
        pending = [plain for root in roots if (plain := _plain(root)) is not None]
        while pending:
            function = pending.pop()
            if function in seen or not self._is_ours(function.__module__):
                continue
            seen.add(function)
            if function not in self.known:
                self.known[function] = self._read(function)
            raised, called = self.known[function]
            found |= raised
            pending += called
        return found

    def _read(self, function: FunctionType) -> tuple[set[Refusal], list[FunctionType]]:
        """The refusals that one function raises itself, and the functions that it calls."""
        scope = Scope(function)
        raised: set[Refusal] = set(getattr(function, MARK, ()))
        called: list[FunctionType] = []
        as_call: set[ast.AST] = set()
        for node in scope.evaluated():
            if isinstance(node, ast.Call):
                as_call.add(node.func)
                if _is_problem(problem := scope.value(node.func)):
                    raised |= _as_raised(problem, node)
                continue
            value = scope.value(node)
            if _is_problem(value):
                raised |= set() if node in as_call else {of_class(value)}
            elif isinstance(value, Mapping):
                raised |= {_of_value(each) for each in value.values() if _is_refusal(each)}
            elif (plain := _plain(value)) is not None and not _is_abstract(plain):
                called.append(plain)
            elif isinstance(node, ast.Attribute) and _is_open(scope.kind(node.value)):
                called += self._named(node.attr, is_call=node in as_call)
        return raised, called

    def _named(self, name: str, *, is_call: bool) -> list[FunctionType]:
        """All methods of this name, since the class is unknown."""
        if name in OF_CONTAINERS:
            return []
        return [
            function
            for function, is_property in self.methods.get(name, [])
            if is_property is not is_call
        ]

    def _classes(self) -> Iterator[type]:
        for name, module in sorted(sys.modules.items()):
            if self._is_ours(name):
                for member in list(vars(module).values()):
                    if isinstance(member, type) and member.__module__ == name:
                        yield member

    def _is_ours(self, module: str) -> bool:
        return module.partition(".")[0] in self.packages


def _as_raised(problem: type[Problem], call: ast.Call) -> set[Refusal]:
    """The refusal of a call that constructs it, with its detail and code, or several codes."""
    words = _text(call.args[0]) if call.args else ""
    given = [word.value for word in call.keywords if word.arg == "code"]
    if not given:
        return {of_class(problem)}
    # A computed code is declared by `refuses`.
    codes = [_text(part) for value in given for part in _parts(value)]
    return {of_class(problem, code, words) for code in codes if code}


def _parts(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def _text(value: ast.expr) -> str:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _is_open(kind: type | None) -> bool:
    """Whether an object may be of any class: it is unknown or a protocol."""
    return kind is None or getattr(kind, "_is_protocol", False)


def _is_abstract(function: FunctionType) -> bool:
    """Whether a function is abstract or of a protocol."""
    return getattr(function, "__isabstractmethod__", False) or _is_open(owner_of(function) or str)


def _is_problem(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Problem)


def _is_refusal(value: Any) -> bool:
    return isinstance(value, Problem) or _is_problem(value)


def _of_value(value: Any) -> Refusal:
    if isinstance(value, Problem):
        return Refusal(value.status, value.code, value.detail)
    return of_class(value)
