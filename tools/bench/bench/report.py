"""The results as tables for a terminal of 80 columns."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

Json = dict[str, Any]

# The first target, on two cores that the driver shares.
TARGETS = "first target at 8 buyers: ≥ 30 orders/s, ≤ 50 ms CPU per order; at rest ≤ 1500 MiB"
LATENCIES = ("p50_ms", "p95_ms", "p99_ms")


def show(results: Json, console: Console) -> None:
    """Print every measured part."""
    for table in tables(results):
        console.print()
        console.print(table)
    console.print(f"\n[dim]{TARGETS}[/]")
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    console.print(f"[dim]{facts}, commit {results['commit'] or 'unknown'}[/]")
    if results.get("restarts"):
        console.print(f"[red]{results['restarts']} restarts during the run: see `status`.[/]")


def tables(results: Json) -> Iterable[Table]:
    """Yield the tables, in the order of the measures."""
    levels = list(results.get("checkout", []))
    if one := results.get("one_variant"):
        levels.append(one)
    if levels:
        yield _checkouts(levels)
    if paced := results.get("open_loop"):
        yield _open_loop(paced)
        levels += paced
    if levels and levels[0].get("cpu_ms_by_process"):
        yield _costs(levels)
    if "memory_mb_by_process" in results:
        yield _at_rest(results)
    others = {
        "soak": _soak,
        "oversell": _race,
        "reading": _reading,
        "messages": _messages,
        "floors": _floors,
    }
    for name, table in others.items():
        if part := results.get(name):
            yield table(part)
    if found := results.get("floors", {}).get("prices_us"):
        yield _prices(found)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    table.padding = (0, 2, 0, 0)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
    return table


def _checkouts(levels: list[Json]) -> Table:
    table = _table(
        "Guest checkout through the gateway, to confirmed",
        "buyers", "orders/s", "p50 ms", "p95 ms", "p99 ms", "errors",
    )  # fmt: skip
    for level in levels:
        figures = (_shown(level[key]) for key in ("orders_per_s", *LATENCIES))
        table.add_row(_named(level), *figures, _counts(level["error_codes"]))
    return table


def _open_loop(levels: list[Json]) -> Table:
    table = _table(
        "Guest checkout at a fixed rate, from its due time to confirmed",
        "begun", "orders/s", "p50 ms", "p95 ms", "p99 ms", "left behind", "errors",
    )  # fmt: skip
    for level in levels:
        figures = (_shown(level[key]) for key in ("orders_per_s", *LATENCIES))
        behind = str(level["left_behind"])
        table.add_row(_named(level), *figures, behind, _counts(level["error_codes"]))
    return table


def _costs(levels: list[Json]) -> Table:
    """Processor time of each process, highest first, and that of the rest of the machine."""
    table = _table("CPU ms per order, by process", "buyers", *map(_named, levels))
    for name in levels[-1]["cpu_ms_by_process"]:
        table.add_row(name, *(_shown(level["cpu_ms_by_process"].get(name)) for level in levels))
    whole = (_shown(level["cpu_ms_per_order"]) for level in levels)
    table.add_row("all", *whole, style="bold")
    driver = (_shown(level.get("driver_cpu_ms_per_order")) for level in levels)
    table.add_row("the driver, apart", *driver)
    others = (_percent(level.get("other_cpu_share")) for level in levels)
    table.add_row("others, of all used", *others)
    table.add_row("calibration, ms", *(_shown(level.get("calibration_ms")) for level in levels))
    return table


def _at_rest(results: Json) -> Table:
    table = _table("At rest", "process", "CPU ms/s", "MiB")
    idle = results["rest_cpu_ms_per_s_by_process"]
    memory = results["memory_mb_by_process"]
    for name in sorted(memory, key=lambda name: -memory[name]):
        table.add_row(name, _shown(idle.get(name)), _shown(memory[name]))
    whole = (_shown(results[key]) for key in ("rest_cpu_ms_per_s", "memory_mb"))
    table.add_row("all", *whole, style="bold")
    return table


def _soak(soak: Json) -> Table:
    table = _table(
        f"Memory over {soak['minutes']:g} minutes, {soak['orders']:,} orders at "
        f"{soak['rate_per_s']:g}/s; p99 {_shown(soak['p99_ms'])} ms, errors {soak['errors']}",
        "MiB (PSS)", "first quarter", "last quarter", "MiB/min", "",
    )  # fmt: skip
    for name, held in soak["memory"].items():
        table.add_row(
            name,
            _shown(held["first_quarter_mib"]),
            _shown(held["last_quarter_mib"]),
            f"{held['slope_mib_per_min']:+.2f}",
            "grew" if held["grew"] else "",
            style="bold" if name == "all" else "",
        )
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


def _messages(messages: Json) -> Table:
    """The message path, each line with its target."""
    table = _table(
        "The message path without business logic (µs: its process + the servers)",
        "what", "figure", "target",
    )  # fmt: skip
    for what, rate in (("relay", messages["relay"]), ("inbox", messages["inbox"])):
        servers = sum(rate["servers_us_per_message"].values())
        own = rate["cpu_us_per_message"]
        figure = f"{rate['messages_per_s']:,.0f}/s, {own:.0f}+{servers:.0f} µs"
        table.add_row(f"{what}, one process", figure, "≥ 4,000/s")
    timed, ordered = messages["commit_to_consumer"], messages["relays_in_order"]
    table.add_row(
        f"commit to consumer at {timed['rate_per_s']:g}/s, p50 and p99",
        f"{timed['p50_ms']:.1f} and {timed['p99_ms']:.1f} ms",
        "≤ 5 and ≤ 25 ms",
    )
    table.add_row(
        f"inversions, {ordered['relays']} relays on one outbox",
        f"{ordered['inversions']} of {ordered['messages']:,}",
        "0",
    )
    return table


def _floors(floors: Json) -> Table:
    table = _table("Floors: the best case of this machine", "what", "per second")
    if "postgres_commits_per_s" in floors:
        table.add_row("PostgreSQL commits, 8 connections", _shown(floors["postgres_commits_per_s"]))
        for window, rate in floors["publishes_per_s"].items():
            table.add_row(f"confirmed publishes to a quorum queue, {window}", _shown(rate))
    table.add_row("calibration at rest, in ms", _shown(floors["calibration_ms"]))
    for name, route in floors["routes"].items():
        table.add_row(f"requests, {name}, 8 connections", _shown(route["requests_per_s"]))
    return table


def _prices(found: Json) -> Table:
    table = _table("Prices: processor time of the smallest pieces, alone", "what", "µs")
    for what, price in found.items():
        table.add_row(what, _shown(price))
    return table


def _named(level: Json) -> str:
    """The label of a level: its buyers, those on one variant, or its rate."""
    if "rate_per_s" in level:
        return f"{level['rate_per_s']:g}/s"
    return f"{level['buyers']}{' on one' if 'oversold' in level else ''}"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in counts.items()) or "0"
