"""What an expression of Prometheus reads: its selectors, and the labels it groups by.

A selector that names no series is silent: its alert never fires and its panel stays empty.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# `by (service, le)` and the like; https://prometheus.io/docs/prometheus/latest/querying/operators
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
# A name that is no part of a number or duration, and calls nothing.
SELECTOR = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\w|\s*\()")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"')
WORDS = {"and", "or", "unless", "bool", "offset"}
# The labels of every series of a selector.
Series = Callable[[str], list[dict[str, str]]]


@dataclass(frozen=True)
class Read:
    """What one expression reads; a selector is `name{matchers}`, the labels are those of groupings."""

    selectors: frozenset[tuple[str, str]]
    labels: frozenset[str]


def read(expression: str) -> Read:
    """Take an expression apart."""
    groups = GROUPING.findall(expression)
    labels = {label.strip() for group in groups for label in group.split(",") if label.strip()}
    found = SELECTOR.findall(GROUPING.sub(" ", expression))
    selectors = {(name, matchers) for name, matchers in found if name not in WORDS}
    return Read(frozenset(selectors), frozenset(labels))


def silent(expressions: Mapping[str, str], series: Series, excused: Mapping[str, str]) -> list[str]:
    """What no series is found for, by the name of its expression.

    excused: matchers that may find nothing, with the reasons; their metric and the labels that
    they speak of must be there all the same.
    """
    faults, series = [], functools.cache(series)
    for title, expression in expressions.items():
        wanted, known = read(expression), set[str]()
        for name, matchers in sorted(wanted.selectors):
            of_name = {label for labels in series(name) for label in labels}
            known |= of_name
            if not of_name:
                faults.append(f"{title}: there is no {name}")
                continue
            prefix = f"{title}: no {name} has "
            unknown = sorted(set(MATCHER.findall(matchers)) - of_name)
            faults += [f"{prefix}the label {label}" for label in unknown]
            if matchers and not unknown and matchers not in excused:
                faults += [] if series(name + matchers) else [f"{prefix}{matchers}"]
        unknown = sorted(wanted.labels - known)
        faults += [f"{title}: nothing has the label {label}" for label in unknown]
    return faults
