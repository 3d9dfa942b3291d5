"""A parsed page of metrics, for tests."""

import re
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families

NAME = re.compile(r"^[a-zA-Z_:][\w:]*", re.MULTILINE)


class Response(Protocol):
    """The response of any HTTP client."""

    @property
    def status_code(self) -> int:
        """200 when the page was returned."""

    @property
    def text(self) -> str:
        """The page."""


@dataclass(frozen=True)
class MetricsPage:
    """The samples of one scrape, by name and labels."""

    found: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, answer: Response) -> "MetricsPage":
        """Parse a page. Raises AssertionError on any status but 200."""
        if answer.status_code != 200:  # noqa: PLR2004
            raise AssertionError(f"no metrics: {answer.status_code} {answer.text[:500]}")
        # The parser appends `_total` to every counter; Envoy's counters have no suffix.
        listed = set(NAME.findall(answer.text))

        def name(parsed: str) -> str:
            return parsed if parsed in listed else parsed.removesuffix("_total")

        return cls(
            {
                (name(each.name), frozenset(each.labels.items())): each.value
                for family in text_string_to_metric_families(answer.text)
                for each in family.samples
            }
        )

    def __call__(self, name: str, **labels: str) -> float:
        """A sample's value; 0 for a missing one."""
        return self.found.get((name, frozenset(labels.items())), 0.0)

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.found}
