"""What names and expressions in a function's code stand for, as far as it shows without running."""

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


class Scope:
    """The names of one function: its variables, its closure, its module."""

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
        """The function, class, module or constant a name or dotted name means; None if unknown."""
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
        """The class of what an expression gives; None if unknown."""
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
                said = hints(member.fget).get("return") if is_property else None
                found = class_of(said or hints(owner).get(node.attr))
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
                self.kinds[name] = None  # A name that is made from itself tells nothing.
                self.kinds[name] = self.kind(self.assigned[name])
            return self.kinds[name]
        value = None if name in self.local else self.closed.get(name, self.module.get(name))
        known = value is not None and not isinstance(value, ModuleType | type | FunctionType)
        return type(value) if known else None

    def spoken(self) -> Iterator[ast.AST]:
        """Every call and name that is evaluated: not annotations, not what is caught or asked for.

        A call comes before the name of what it calls.
        """
        open_ends: list[ast.AST] = [self.tree] if self.tree else []
        while open_ends:
            node = open_ends.pop()
            if isinstance(node, ast.Call | ast.Name | ast.Attribute):
                yield node
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ExceptHandler):
                open_ends += node.body
            elif isinstance(node, ast.AnnAssign):
                open_ends += [node.value] if node.value else []
            elif not _is_question(node):
                open_ends += ast.iter_child_nodes(node)


def hints(owner: Any) -> dict[str, Any]:
    """The annotations of a function or class; none where they cannot be read."""
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
    """The class an annotation means: `Order` for `Order | None`, `list` for `list[Order]`."""
    if isinstance(hint, type) and get_origin(hint) is None:
        return None if hint in (Any, object) else hint
    origin = get_origin(hint)
    if origin is Annotated:
        return class_of(get_args(hint)[0])
    if origin in (Union, UnionType):
        found = {class_of(part) for part in get_args(hint) if part is not type(None)}
        return found.pop() if len(found) == 1 else None
    if getattr(origin, "__name__", "") in ("AsyncIterator", "Iterator", "AsyncGenerator"):
        # What a context manager gives to its `with`.
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
    """The class a method stands in."""
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split(".")[:-1]:
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def _tree(function: FunctionType) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        # Made at run time, such as a dataclass's constructor, or a lambda inside a line.
        return None


def _is_question(node: ast.AST) -> bool:
    names = ("isinstance", "issubclass")
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
