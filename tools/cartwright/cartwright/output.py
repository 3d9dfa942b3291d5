"""What people and machines are shown: tables, JSON, short forms of times and money."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from cartwright.refusals import Refusal

console = Console(highlight=False)
aside = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Reason = Annotated[
    str, typer.Option("--reason", prompt="Why", help="Why; it stays in the audit trail for good.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")]
MINUTE, HOUR, DAY = 60, 3600, 86_400


def as_json(found: Any) -> None:
    """Print what was found as it came."""
    print(json.dumps(found, indent=2, ensure_ascii=False))


class Listing(Table):
    """A table whose cells are shown as they are: what the shop says is never read as markup."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row; strings stand for themselves, `styled` makes others."""
        plain = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*plain, **options)


def styled(markup: str) -> Text:
    """A cell or line with rich's markup; never of what the shop says."""
    return Text.from_markup(markup)


def say(line: str | RenderableType) -> None:
    """Print a sentence or a table; a sentence is not broken, so that it can be copied."""
    console.print(line, markup=False, soft_wrap=isinstance(line, str | Text))


def table(*columns: str, title: str | None = None) -> Listing:
    """A table without frames; a column whose name begins with `>` is aligned to the right."""
    made = Listing(box=box.SIMPLE_HEAD, title=title, title_justify="left", header_style="bold")
    for name in columns:
        right = name.startswith(">")
        made.add_column(
            name.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    return made


def confirmed(question: str, *, yes: bool) -> None:
    """Ask before something is done that cannot be undone."""
    if not yes and not typer.confirm(question):
        raise Refusal("nothing was done.")


def progress() -> Progress:
    """A progress bar beside the output, so that JSON stays clean."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=aside,
        transient=True,
    )


def instant(value: str | None) -> str:
    """A time of the shop as `2026-03-01 12:00:00`, in UTC."""
    if value is None:
        return "–"
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock(value: str) -> str:
    """The time of day with milliseconds, in UTC."""
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def ago(value: str | None) -> str:
    """How long ago it was, or in how long it will be."""
    if value is None:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(value)).total_seconds()
    return f"in {span(-seconds)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float | None) -> str:
    """A span as people say it: `12 ms`, `3.2 s`, `5 min`, `2 h`, `3 d`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def money(amount: int | None, currency: str) -> str:
    """Minor units with their currency, as they are counted."""
    return "–" if amount is None else f"{amount} {currency}"


def listed(values: Sequence[object]) -> str:
    """Several words in a cell."""
    return ", ".join(str(value) for value in values) or "–"


def moment(text: str, now: datetime | None = None) -> datetime:
    """A time as people type it: ISO 8601, or `15m`, `2h`, `7d` for so long ago. Raises Refusal."""
    units = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
    if text and text[-1] in units and text[:-1].isdigit():
        return (now or datetime.now(UTC)) - timedelta(seconds=int(text[:-1]) * units[text[-1]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            f"{text!r} is not a time: type it as 2026-03-01T12:00:00Z, or as 15m, 2h or 7d ago."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
