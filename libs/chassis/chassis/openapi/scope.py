"""Resolves names and expressions in a function's code by static analysis."""

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


class Scope:
    """The scope of one function: its variables, its closure, its module."""

    def __init__(self, function: FunctionType) -> None:
        self.closed = _closure(function)
        self.module = function.__globals__
        self.local = set(function.__code__.co_varnames) | set(function.__code__.co_cellvars)
        self.hints = hints(function)
        self.owner = owner_of(function)
        self.assigned: dict[str, ast.expr] = {}
        self.kinds: dict[str, type | None] = {}
        self.tree = _tree(function)
        for node in ast.walk(self.tree) if self.tree else ():
            if isinstance(node, ast.Assign | ast.NamedExpr | ast.withitem):
                self._note(node)

    def _note(self, node: ast.Assign | ast.NamedExpr | ast.withitem) -> None:
        if isinstance(node, ast.withitem):
            target, value = node.optional_vars, node.context_expr
        else:
            target = node.target if isinstance(node, ast.NamedExpr) else node.targets[0]
            value = node.value
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, value)

    def value(self, node: ast.AST) -> Any:
        """The function, class, module or constant of a name or dotted name; None if unknown."""
        if isinstance(node, ast.Name):
            if node.id in self.local and node.id not in self.closed:
                return None
            return self.closed.get(node.id, self.module.get(node.id))
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if not isinstance(owner, ModuleType | type):
                owner = self.kind(node.value)
            return None if owner is None else getattr(owner, node.attr, None)
        return None

    def kind(self, node: ast.AST) -> type | None:
        """The class of an expression's value; None if unknown."""
        found: Any = None
        if isinstance(node, ast.Await):
            found = self.kind(node.value)
        elif isinstance(node, ast.Name):
            found = self._kind_of_name(node.id)
        elif isinstance(node, ast.Attribute):
            owner = self.kind(node.value)
            if owner is not None:
                member = inspect.getattr_static(owner, node.attr, None)
                is_property = isinstance(member, property) and member.fget is not None
                returned = hints(member.fget).get("return") if is_property else None
                found = class_of(returned or hints(owner).get(node.attr))
        elif isinstance(node, ast.Call):
            called = self.value(node.func)
            found = called if isinstance(called, type) else class_of(hints(called).get("return"))
        return found if isinstance(found, type) else None

    def _kind_of_name(self, name: str) -> type | None:
        if name == "self" and self.owner is not None:
            return self.owner
        if name in self.hints:
            return class_of(self.hints[name])
        if name in self.assigned:
            if name not in self.kinds:
                self.kinds[name] = None  # Stops at a name that is assigned from itself.
                self.kinds[name] = self.kind(self.assigned[name])
            return self.kinds[name]
        value = None if name in self.local else self.closed.get(name, self.module.get(name))
        known = value is not None and not isinstance(value, ModuleType | type | FunctionType)
        return type(value) if known else None

    def evaluated(self) -> Iterator[ast.AST]:
        """Every call and name that is evaluated, without annotations, `except` and `isinstance`.

        A call precedes the name of its function.
        """
        pending: list[ast.AST] = [self.tree] if self.tree else []
        while pending:
            node = pending.pop()
            if isinstance(node, ast.Call | ast.Name | ast.Attribute):
                yield node
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ExceptHandler):
                pending += node.body
            elif isinstance(node, ast.AnnAssign):
                pending += [node.value] if node.value else []
            elif not _is_type_check(node):
                pending += ast.iter_child_nodes(node)


def hints(owner: Any) -> dict[str, Any]:
    """The annotations of a function or class; empty where they cannot be resolved."""
    try:
        return _hints(owner)
    except TypeError:
        return {}


@functools.lru_cache(4096)
def _hints(owner: Any) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(owner) if callable(owner) else owner)
    except (NameError, AttributeError):
        return {}


def class_of(hint: Any) -> type | None:
    """The class of an annotation: `Order` for `Order | None`, `list` for `list[Order]`."""
    if isinstance(hint, type) and get_origin(hint) is None:
        return None if hint in (Any, object) else hint
    origin = get_origin(hint)
    if origin is Annotated:
        return class_of(get_args(hint)[0])
    if origin in (Union, UnionType):
        found = {class_of(part) for part in get_args(hint) if part is not type(None)}
        return found.pop() if len(found) == 1 else None
    if getattr(origin, "__name__", "") in ("AsyncIterator", "Iterator", "AsyncGenerator"):
        # The value of a context manager in a `with` statement.
        return class_of(get_args(hint)[0])
    return origin if isinstance(origin, type) else None


def _closure(function: FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def owner_of(function: FunctionType) -> type | None:
    """The class of a method."""
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split(".")[:-1]:
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def _tree(function: FunctionType) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        # Generated, such as a dataclass's constructor, or a lambda inside a line.
        return None


def _is_type_check(node: ast.AST) -> bool:
    names = ("isinstance", "issubclass")
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
