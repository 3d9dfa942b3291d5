"""How many files of the services a reader opens to follow one feature: its static reach.

From the functions in which a feature begins, the script follows every name that a function or class
mentions to the function, class or variable of the same service that defines it. A class is reached
as a whole, with its methods. Annotations count: a reader looks up what a parameter is.

`make hops` prints the files; `test_hops.py` holds their numbers.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("chassis", "contracts")

# Where a feature begins, as `service.module:function`.
FEATURES = {
    "place an order": ("orders.api.checkout:place_order", "cart.api.checkout:lock_cart"),
    "cancel an order": ("orders.api.orders:cancel_order",),
    "add a product": ("catalog.api.admin_products:create_product",),
    "apply a coupon": ("cart.api.carts:set_coupon", "promotions.api:evaluate_coupon"),
    "CollectPayment": ("payments.handlers:Collect",),
    "ReserveStock": ("inventory.handlers:reserve_stock",),
}


@dataclass
class Module:
    """A module's definitions, and where its imported names come from."""

    name: str
    file: Path
    defines: dict[str, list[ast.AST]] = field(default_factory=dict)
    # A local name: the module and the name in it, or the module alone.
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)


def source_of(name: str) -> Path | None:
    """The file of a module of a service or library; None for other modules."""
    top = name.split(".", maxsplit=1)[0]
    for folder in (ROOT / "services" / top, ROOT / "libs" / top):
        path = folder / name.replace(".", "/")
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def module(name: str) -> Module | None:
    """A module of a service or library."""
    file = source_of(name)
    if file is None:
        return None
    found = Module(name, file)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.parse(file.read_text()).body:
        _collect(found, node, package)
    return found


def _collect(into: Module, node: ast.stmt, package: str) -> None:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            into.defines.setdefault(name, []).append(node)
        case ast.Assign() | ast.AnnAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for part in (each for target in targets for each in ast.walk(target)):
                if isinstance(part, ast.Name):
                    into.defines.setdefault(part.id, []).append(node)
        case ast.ImportFrom():
            origin = node.module or ""
            if node.level:
                parents = package.split(".")
                origin = ".".join([*parents[: len(parents) - node.level + 1], origin]).strip(".")
            for alias in node.names:
                is_module = source_of(f"{origin}.{alias.name}") is not None
                target = (f"{origin}.{alias.name}", None) if is_module else (origin, alias.name)
                into.imports[alias.asname or alias.name] = target
        case ast.If():
            for each in node.body:
                _collect(into, each, package)


def _names(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """The names a definition mentions, each with the attribute taken of it, if any."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            yield each.value.id, each.attr
        elif isinstance(each, ast.Name):
            yield each.id, None
        elif isinstance(each, ast.Constant) and str(each.value).isidentifier():
            yield str(each.value), None


def _resolve(name: str, attribute: str | None, origin: Module) -> tuple[str, str] | None:
    """The module and name that a name in `origin` stands for, through re-exports."""
    if name in origin.defines:
        return origin.name, name
    target = origin.imports.get(name)
    if target is None:
        return None
    place, what = target
    if what is None:
        if attribute is None:
            return None
        what = attribute
    found = module(place)
    if found is None:
        return None
    if what in found.defines:
        return place, what
    return _resolve(what, None, found) if what in found.imports else None


def reach(starts: Iterable[str]) -> set[tuple[str, str]]:
    """Every definition that can be reached from the starts, as module and name."""
    todo = [tuple(start.split(":")) for start in starts]
    seen: set[tuple[str, str]] = set()
    while todo:
        place, name = todo.pop()
        found = module(place)
        if found is None or name not in found.defines:
            raise LookupError(f"{place} has no {name}")
        if (place, name) in seen:
            continue
        seen.add((place, name))
        for node in found.defines[name]:
            for mentioned, attribute in _names(node):
                target = _resolve(mentioned, attribute, found)
                if (
                    target is not None
                    and target not in seen
                    and target[0].split(".")[0] not in LIBRARIES
                ):
                    todo.append(target)
                elif target is not None:
                    seen.add(target)
    return seen


def files(starts: Iterable[str]) -> tuple[set[str], set[str]]:
    """The modules of services and, beside them, those of the libraries that a feature uses."""
    modules = {place for place, _ in reach(starts)}
    own = {each for each in modules if each.split(".")[0] not in LIBRARIES}
    return own, modules - own


def main() -> None:
    """Print each feature's number of files, and the files."""
    for feature, starts in FEATURES.items():
        own, beside = files(starts)
        sys.stdout.write(
            f"{feature}: {len(own)} files, and {len(beside)} modules of the libraries\n"
        )
        for each in sorted(own):
            sys.stdout.write(f"    {each}\n")


if __name__ == "__main__":
    main()
