"""What an expression of Prometheus reads that no series has.

A selector that names no series is silent: its alert never fires and its panel stays empty.
"""

import functools
from collections.abc import Callable, Iterator, Mapping

from promql_parser import (
    AggModifier,
    AggregateExpr,
    BinaryExpr,
    BinModifier,
    Expr,
    LabelModifier,
    VectorSelector,
    parse,
)

# The labels of every series of a selector.
Series = Callable[[str], list[dict[str, str]]]


def nodes(node: Expr) -> Iterator[Expr]:
    """A node of a syntax tree, and all below it."""
    yield node
    for name in ("expr", "param", "lhs", "rhs", "vector_selector", "args"):
        below = getattr(node, name, None)
        for each in below if isinstance(below, list) else [below]:
            if each is not None:
                yield from nodes(each)


def grouped(node: Expr) -> list[str]:
    """The labels of `by`, `without`, `on` and `ignoring`."""
    match node:
        case AggregateExpr(modifier=AggModifier(labels=labels)):
            return list(labels)
        case BinaryExpr(modifier=BinModifier(matching=LabelModifier(labels=labels))):
            return list(labels)
    return []


def silent(expressions: Mapping[str, str], series: Series, excused: Mapping[str, str]) -> list[str]:
    """What no series is found for, by the name of its expression.

    excused: matchers that may find nothing, with the reasons; their metric and the labels that
    they speak of must be there all the same.
    """
    faults, series = [], functools.cache(series)
    for title, expression in expressions.items():
        tree, known = [*nodes(parse(expression))], set[str]()
        selectors = {f"{n.name}{n.matchers}": n for n in tree if isinstance(n, VectorSelector)}
        for _, selector in sorted(selectors.items()):
            name, matchers = selector.name, selector.matchers
            of_name = {label for labels in series(name) for label in labels}
            known |= of_name
            if not of_name:
                faults.append(f"{title}: there is no {name}")
                continue
            prefix = f"{title}: no {name} has "
            unknown = sorted({each.name for each in matchers.matchers} - of_name)
            faults += [f"{prefix}the label {label}" for label in unknown]
            if matchers.matchers and not unknown and str(matchers) not in excused:
                faults += [] if series(f"{name}{matchers}") else [f"{prefix}{matchers}"]
        unknown = sorted({label for node in tree for label in grouped(node)} - known)
        faults += [f"{title}: nothing has the label {label}" for label in unknown]
    return faults
