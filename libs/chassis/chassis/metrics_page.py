"""A page of metrics, read back: for tests."""

import re
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families

NAME = re.compile(r"^[a-zA-Z_:][\w:]*", re.MULTILINE)


class Got(Protocol):
    """Any client's answer."""

    @property
    def status_code(self) -> int:
        """200 is fine."""

    @property
    def text(self) -> str:
        """The page."""


@dataclass(frozen=True)
class MetricsPage:
    """The samples of one scrape, by name and labels."""

    found: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, answer: Got) -> "MetricsPage":
        """Read a page; raises AssertionError when there is none."""
        if answer.status_code != 200:  # noqa: PLR2004
            raise AssertionError(f"no metrics: {answer.status_code} {answer.text[:500]}")
        # The parser gives every counter the ending `_total`; those of Envoy go without it.
        told = set(NAME.findall(answer.text))

        def name(parsed: str) -> str:
            return parsed if parsed in told else parsed.removesuffix("_total")

        return cls(
            {
                (name(each.name), frozenset(each.labels.items())): each.value
                for family in text_string_to_metric_families(answer.text)
                for each in family.samples
            }
        )

    def __call__(self, name: str, **labels: str) -> float:
        """One sample's value; 0 for what is not there."""
        return self.found.get((name, frozenset(labels.items())), 0.0)

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.found}
