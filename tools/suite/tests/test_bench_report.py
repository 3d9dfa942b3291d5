"""The tables of the bench: every figure is shown, within eighty columns."""

from collections import Counter
from typing import Any

from rich.console import Console

from suite.bench import report
from suite.bench.checkouts import race_figures
from suite.bench.soak import memory_figures

PROCESSES = {"orders": 12.3, "sandbox_provider": 2.2, "rabbitmq": 10.6}


def level(**more: Any) -> dict[str, Any]:
    return {
        "orders_per_s": 29.4,
        "p50_ms": 877.1,
        "p95_ms": 1100.2,
        "p99_ms": 1275.3,
        "orders": 294,
        "errors": 0,
        "error_codes": {},
        "cpu_ms_per_order": 40.0,
        "cpu_ms_by_process": PROCESSES,
        "driver_cpu_ms_per_order": 1.9,
        "other_cpu_share": 0.02,
        "calibration_ms": 1.52,
        **more,
    }


def everything() -> dict[str, Any]:
    row = {"connections": 8, "requests_per_s": 900.0, "p50_ms": 2.5, "p99_ms": 9.0, "errors": {}}
    refused = {"confirmed": 50, "out_of_stock": 100}
    rate = {
        "messages": 20_000,
        "messages_per_s": 4_321.0,
        "cpu_us_per_message": 210.4,
        "servers_us_per_message": {"postgres": 20.0, "rabbitmq": 57.0},
    }
    return {
        "machine": {"cores": 2},
        "commit": "abc",
        "checkout": [level(buyers=1), level(buyers=8), level(buyers=32)],
        "one_variant": level(buyers=32, oversold=0, reserved=1),
        "open_loop": [level(rate_per_s=10.0, left_behind=0), level(rate_per_s=40.0, left_behind=7)],
        "memory_mb": 1434,
        "memory_mb_by_process": {"sandbox_provider": 88.8, "orders": 101.5},
        "rest_cpu_ms_per_s": 43.1,
        "rest_cpu_ms_per_s_by_process": {"sandbox_provider": 1.5, "orders": 3.5},
        "soak": {
            **level(minutes=20.0, rate_per_s=5.0, left_behind=0),
            "memory": memory_figures(
                [(float(minute), {"orders": 100.0 + 40 * minute}) for minute in range(8)]
            ),
        },
        "oversell": {"stock": 50, "buyers": 150, "seconds": 3.0, **race(refused)},
        "reading": {"product_list": [row], "product_by_id": [row]},
        "messages": {
            "relay": rate,
            "inbox": rate,
            "commit_to_consumer": {"rate_per_s": 50.0, "p50_ms": 3.21, "p99_ms": 17.9},
            "relays_in_order": {"relays": 4, "messages": 4000, "inversions": 3},
        },
        "floors": {
            "routes": {"gateway alone": row},
            "postgres_commits_per_s": 9000.0,
            "publishes_per_s": {"window 1": 1000.0},
            "calibration_ms": 1.5,
            "prices_us": {"transaction of one insert, fifty a second": 1234.5},
        },
        "restarts": 1,
    }


def race(outcomes: dict[str, int]) -> dict[str, Any]:
    return race_figures(Counter(outcomes), 50, 50, 50)


def shown(results: dict[str, Any]) -> str:
    console = Console(record=True, width=80)
    report.show(results, console)
    return console.export_text()


def test_the_tables_show_every_figure() -> None:
    text = shown(everything())
    for expected in (
        "40.0", "100 out_of_stock", "900.0", "9,000.0", "cores 2", "1 restarts", "1.5",
        "4,321/s, 210+77 µs", "1,234.5", "3.2 and 17.9 ms", "3 of 4,000", "+40.00  grew", "sandbox_provider",
    ):  # fmt: skip
        assert expected in text


def test_every_heading_and_name_fits_eighty_columns() -> None:
    text = shown(everything())
    assert "…" not in text
    heads = [line.split() for line in text.splitlines() if line.startswith(("buyers", "begun"))]
    assert ["buyers", "1", "8", "32", "32", "on", "one", "10/s", "40/s"] in heads
    assert ["buyers", "orders/s", "p50", "ms", "p95", "ms", "p99", "ms", "errors"] in heads
    assert any(head[-3:] == ["left", "behind", "errors"] for head in heads)


def test_a_suite_on_another_machine_has_no_table_of_costs() -> None:
    without_cpu = {**level(buyers=8), "cpu_ms_per_order": None}
    del without_cpu["cpu_ms_by_process"]
    results: dict[str, Any] = {"machine": {}, "commit": None, "checkout": [without_cpu]}
    assert len(list(report.tables(results))) == 1
