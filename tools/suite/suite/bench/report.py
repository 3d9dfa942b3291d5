"""The results as tables for a person."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

Json = dict[str, Any]

# The first target, on two cores that the driver shares.
TARGETS = "first target at 8 buyers: ≥ 30 orders/s, ≤ 50 ms CPU per order; at rest ≤ 1500 MiB"


def show(results: Json, console: Console) -> None:
    """Print every part that was measured."""
    for table in tables(results):
        console.print()
        console.print(table)
    console.print(f"\n[dim]{TARGETS}[/]")
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    console.print(f"[dim]{facts}, commit {results['commit'] or 'unknown'}[/]")
    if results.get("restarts"):
        console.print(f"[red]{results['restarts']} restarts during the run: see `status`.[/]")


def tables(results: Json) -> Iterable[Table]:
    """The tables, in the order of the measures."""
    levels = list(results.get("checkout", []))
    if one := results.get("one_variant"):
        levels.append(one)
    if levels:
        yield _checkouts(levels)
    if levels and levels[0].get("cpu_ms_by_process"):
        yield _costs(results, levels)
    if race := results.get("oversell"):
        yield _race(race)
    if reading := results.get("reading"):
        yield _reading(reading)
    if floors := results.get("floors"):
        yield _floors(floors)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
    return table


def _checkouts(levels: list[Json]) -> Table:
    table = _table(
        "Guest checkout through the gateway, to confirmed",
        "buyers", "orders/s", "p50 ms", "p95 ms", "p99 ms",
        "CPU ms/order", "driver", "others", "yardstick ms", "errors",
    )  # fmt: skip
    for level in levels:
        table.add_row(
            _buyers(level),
            *(_shown(level[key]) for key in ("orders_per_s", "p50_ms", "p95_ms", "p99_ms")),
            _shown(level["cpu_ms_per_order"]),
            _shown(level.get("driver_cpu_ms_per_order")),
            _percent(level.get("other_cpu_share")),
            _shown(level.get("yardstick_ms")),
            _counts(level["error_codes"]),
        )
    return table


def _costs(results: Json, levels: list[Json]) -> Table:
    """Processor time of each process, dearest first, beside its memory and its use at rest."""
    heads = [_buyers(level) for level in levels]
    table = _table("CPU ms per order by process", "buyers", *heads, "at rest ms/s", "MiB")
    idle = results.get("rest_cpu_ms_per_s_by_process", {})
    memory = results.get("memory_mb_by_process", {})
    for name in levels[-1]["cpu_ms_by_process"]:
        costs = (_shown(level["cpu_ms_by_process"].get(name)) for level in levels)
        table.add_row(name, *costs, _shown(idle.get(name)), _shown(memory.get(name)))
    whole = (_shown(level["cpu_ms_per_order"]) for level in levels)
    rest = (_shown(results.get(key)) for key in ("rest_cpu_ms_per_s", "memory_mb"))
    table.add_row("all", *whole, *rest, style="bold")
    return table


def _race(race: Json) -> Table:
    title = f"{race['buyers']} buyers for {race['stock']} pieces, all at once"
    table = _table(title, "sold", "refused", "errors", "oversold", "seconds")
    table.add_row(
        str(race["sold"]),
        f"{race['refused']} ({_counts(race['refusals'])})",
        _counts(race["error_codes"]),
        str(race["oversold"]),
        _shown(race["seconds"]),
    )
    return table


def _reading(reading: Json) -> Table:
    table = _table(
        "Reading through the gateway",
        "what", "connections", "requests/s", "p50 ms", "p99 ms", "errors",
    )  # fmt: skip
    for name, rows in reading.items():
        for row in rows:
            figures = (_shown(row[key]) for key in ("requests_per_s", "p50_ms", "p99_ms"))
            what = name.replace("_", " ")
            table.add_row(what, str(row["connections"]), *figures, _counts(row["errors"]))
    return table


def _floors(floors: Json) -> Table:
    table = _table("Floors: what this machine does at best", "what", "per second")
    if "postgres_commits_per_s" in floors:
        table.add_row("PostgreSQL commits, 8 connections", _shown(floors["postgres_commits_per_s"]))
        for window, rate in floors["publishes_per_s"].items():
            table.add_row(f"confirmed publishes to a quorum queue, {window}", _shown(rate))
    table.add_row("yardstick at rest, in ms", _shown(floors["yardstick_ms"]))
    for name, route in floors["routes"].items():
        table.add_row(f"requests, {name}, 8 connections", _shown(route["requests_per_s"]))
    return table


def _buyers(level: Json) -> str:
    return f"{level['buyers']}{', one variant' if 'oversold' in level else ''}"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in counts.items()) or "0"
