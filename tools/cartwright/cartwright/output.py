"""Output for people and machines: tables, JSON, and short forms of times."""

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
stderr = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Reason = Annotated[
    str, typer.Option("--reason", prompt="Reason", help="The reason, for the audit trail.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not prompt for confirmation.")]
MINUTE, HOUR, DAY = 60, 3600, 86_400


def as_json(found: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(found, indent=2, ensure_ascii=False))


class Listing(Table):
    """A table that shows its cells literally: texts of the shop are never read as markup."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row of literal strings, or of texts made by `styled`."""
        plain = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*plain, **options)


def styled(markup: str) -> Text:
    """A cell or line with rich's markup; never of a text of the shop."""
    return Text.from_markup(markup)


def show(line: str | RenderableType) -> None:
    """Print a line or a table; a line is not wrapped, so that it can be copied."""
    console.print(line, markup=False, soft_wrap=isinstance(line, str | Text))


def table(*columns: str, title: str | None = None) -> Listing:
    """A table without a frame; `>` before a column's name aligns it to the right."""
    made = Listing(box=box.SIMPLE_HEAD, title=title, title_justify="left", header_style="bold")
    for name in columns:
        right = name.startswith(">")
        made.add_column(
            name.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    return made


def confirm(question: str, *, yes: bool) -> None:
    """Prompt before an action that cannot be undone; raises Refusal on "no"."""
    if not yes and not typer.confirm(question):
        raise Refusal("nothing was done.")


def progress() -> Progress:
    """A progress bar on stderr, so that stdout holds the JSON alone."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=stderr,
        transient=True,
    )


def timestamp(value: str | None) -> str:
    """An ISO 8601 time as `2026-03-01 12:00:00`, in UTC."""
    if value is None:
        return "–"
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock(value: str) -> str:
    """The time of day with milliseconds, in UTC."""
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def ago(value: str | None) -> str:
    """A time relative to now: `5 min ago`, `in 2 h`."""
    if value is None:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(value)).total_seconds()
    return f"in {duration(-seconds)}" if seconds < 0 else f"{duration(seconds)} ago"


def duration(seconds: float | None) -> str:
    """A duration in its largest unit: `12 ms`, `3.2 s`, `5 min`, `2 h`, `3 d`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def joined(values: Sequence[object]) -> str:
    """Values in one cell, with commas; a dash for none."""
    return ", ".join(str(value) for value in values) or "–"


def parse_time(text: str, now: datetime | None = None) -> datetime:
    """Read ISO 8601, or `15m`, `2h`, `7d` for a time before now. Raises Refusal."""
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
