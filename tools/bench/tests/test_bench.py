"""The bench: its arithmetic, its HTTP client, and its counts of usage, sales and refusals."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from bench import accounting
from bench.accounting import Usage
from bench.buyers import for_seconds, outcome
from bench.calibration import Calibration
from bench.checkouts import checkout_figures, cost_figures, race_figures
from bench.client import Answer, Connection
from bench.command import plan_of, running
from bench.figures import Sample, Series, per_order, percentile
from bench.machine import commit
from bench.run import Plan
from suite.refusals import Refusal

# Percentiles, rates and costs.


def test_a_percentile_is_one_of_the_measured_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_a_percentile_of_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def series(*samples: tuple[float, float, str]) -> Series:
    return Series(began=100.0, seconds=10.0, samples=[Sample(*each) for each in samples])


def test_an_order_that_ends_after_the_time_is_counted_but_not_in_the_rate() -> None:
    run = series((101, 50, "confirmed"), (110, 60, "confirmed"), (110.2, 90, "confirmed"))
    assert run.count("confirmed") == 3
    assert run.rate("confirmed") == 0.2


def test_refusals_count_neither_in_the_rate_nor_in_the_latencies() -> None:
    run = series((101, 10, "confirmed"), (102, 9000, "out_of_stock"), (103, 0, "cart: 429"))
    figures = checkout_figures(run)
    assert figures["orders"] == 1
    assert figures["p99_ms"] == 10
    assert figures["errors"] == 2
    assert figures["error_codes"] == {"out_of_stock": 1, "cart: 429": 1}


def test_a_series_without_orders_has_no_latency_and_no_cost() -> None:
    assert checkout_figures(series())["p50_ms"] is None
    assert per_order(1.0, 0) is None


def test_cpu_seconds_are_divided_by_orders_into_milliseconds() -> None:
    assert per_order(12.5, 250) == 50.0


def used(**seconds: float) -> Usage:
    return Usage(at=10.0, by_process=seconds, driver=1.0, machine=12.0)


def test_the_cost_of_an_order_sums_all_processes_highest_first() -> None:
    figures = cost_figures(100, used(orders=2.0, postgres=3.0, rabbitmq=1.0))
    assert figures["cpu_ms_per_order"] == 60.0
    assert list(figures["cpu_ms_by_process"].items()) == [
        ("postgres", 30.0),
        ("orders", 20.0),
        ("rabbitmq", 10.0),
    ]
    assert figures["driver_cpu_ms_per_order"] == 10.0
    assert figures["other_cpu_share"] == round(5 / 12, 3)


def test_a_suite_on_another_machine_has_no_cost() -> None:
    assert cost_figures(100, None) == {"cpu_ms_per_order": None}


# Usage of processes.


def test_the_usage_between_two_readings_includes_new_processes() -> None:
    before = Usage(at=1.0, by_process={"orders": 2.0}, driver=0.5, machine=4.0)
    after = Usage(at=4.0, by_process={"orders": 2.5, "cart": 0.25}, driver=0.75, machine=7.0)
    between = after.since(before)
    assert between.at == 3.0
    assert between.by_process == {"orders": 0.5, "cart": 0.25}
    assert between.suite == 0.75
    assert between.others == 2.0


BURN = "import time\nwhile time.process_time() < 0.3: pass"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}])
print("reaped", flush=True)
sys.stdin.read()
"""


def test_the_usage_of_an_ended_child_is_included() -> None:
    """PostgreSQL's connections are such children."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "reaped\n"
        spent = accounting._of_family(parent.pid)
        parent.communicate("")
    assert spent >= 0.3


def test_an_ended_process_has_no_usage() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert accounting._of_family(ended.pid) == 0.0


# The outcome of a checkout.


def answer(status: int, body: str) -> Answer:
    return Answer(status, body.encode())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(200, '{"status": "confirmed"}'), "confirmed"),
        (
            answer(200, '{"status": "cancelled", "cancellation": {"reason": "out_of_stock"}}'),
            "out_of_stock",
        ),
        (answer(202, '{"status": "pending"}'), "pending"),
        (answer(409, '{"code": "insufficient_stock"}'), "insufficient_stock"),
        (answer(503, "upstream is unavailable"), "503"),
        (answer(500, "[]"), "500"),
    ],
)
def test_the_outcome_of_a_checkout_is_read_from_its_response(given: Answer, expected: str) -> None:
    assert outcome(given) == expected


def test_a_race_that_sells_each_piece_once_has_no_errors_and_no_oversell() -> None:
    outcomes = Counter({"confirmed": 50, "out_of_stock": 90, "insufficient_stock": 10})
    figures = race_figures(outcomes, stock=50, on_hand=50, reserved=50)
    assert (figures["sold"], figures["refused"]) == (50, 100)
    assert (figures["errors"], figures["oversold"]) == (0, 0)


def test_an_oversell_is_detected_in_the_responses() -> None:
    outcomes = Counter({"confirmed": 53, "out_of_stock": 97})
    assert race_figures(outcomes, stock=50, on_hand=50, reserved=50)["oversold"] == 3


def test_an_oversell_is_detected_in_the_inventory() -> None:
    outcomes = Counter({"confirmed": 50, "out_of_stock": 100})
    assert race_figures(outcomes, stock=50, on_hand=50, reserved=52)["oversold"] == 2


def test_a_refusal_without_a_stock_code_is_an_error() -> None:
    outcomes = Counter({"confirmed": 50, "out_of_stock": 98, "cart_busy": 1, "pending": 1})
    figures = race_figures(outcomes, stock=50, on_hand=50, reserved=50)
    assert figures["errors"] == 2
    assert figures["error_codes"] == {"cart_busy": 1, "pending": 1}


async def test_clients_repeat_until_the_time_is_over_and_the_last_one_ends() -> None:
    turns: list[str] = []

    def client(name: str) -> Callable[[], "asyncio.Future[Sample]"]:
        async def turn() -> Sample:
            await asyncio.sleep(0)
            turns.append(name)
            return Sample(0.0, 1.0, name)

        return turn  # type: ignore[return-value]

    run = await for_seconds(0.05, [client("a"), client("b")])
    assert run.count("a") == turns.count("a") > 1
    assert run.count("b") == turns.count("b") > 1


# The HTTP client.

Script = Callable[[bytes], bytes | None]


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[tuple[Connection, list[int]]]:
    """A connection to a server that answers each request with the script's return value.

    None makes the server close the connection. Also yields the number of requests on each accepted
    connection.
    """
    counts: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(counts)
        counts.append(0)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [
                    line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
                ]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                counts[number] += 1
                response = script(head + body)
                if response is None:
                    break
                writer.write(response)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    # Since Python 3.12 the listener's end awaits the end of every connection.
    async with listener:
        with closing(Connection(url)) as connection:
            yield connection, counts


def plain(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(body), body)


async def test_requests_reuse_one_connection() -> None:
    async with connected(lambda _request: plain(b'{"a": 1}')) as (connection, counts):
        for _ in range(3):
            got = await connection.request("POST", "/x", {"b": 2}, {"X-Token": "t"})
            assert got.is_success
            assert got.json() == {"a": 1}
    assert counts == [3]


async def test_a_request_has_its_path_headers_and_body() -> None:
    seen: list[bytes] = []

    def script(request: bytes) -> bytes:
        seen.append(request)
        return plain(b"")

    async with connected(script) as (connection, _):
        await connection.request(
            "POST", "/v1/carts", {"email": "a@b.example"}, {"Prefer": "wait=20"}
        )
    assert seen[0].startswith(b"POST /v1/carts HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nPrefer: wait=20\r\n" in seen[0]
    assert seen[0].endswith(b'\r\n\r\n{"email": "a@b.example"}')


async def test_a_chunked_response_is_joined() -> None:
    chunked = b"HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b'8\r\n{"code":\r\n5\r\n "x"}\r\n0\r\n\r\n'
    async with connected(lambda _request: chunked) as (connection, _):
        got = await connection.request("GET", "/")
    assert (got.status, got.problem) == (409, "x")


async def test_a_closed_connection_is_reopened() -> None:
    async with connected(lambda _request: plain(b"{}", b"Connection: close\r\n")) as (
        connection,
        counts,
    ):
        await connection.request("GET", "/")
        await connection.request("GET", "/")
    assert counts == [1, 1]


async def test_a_connection_lost_before_the_response_is_an_error_without_a_retry() -> None:
    async with connected(lambda _request: None) as (connection, counts):
        with pytest.raises(ConnectionError):
            await connection.request("POST", "/v1/orders", {})
    assert counts == [1]


async def test_an_invalid_http_response_is_an_error() -> None:
    async with connected(lambda _request: b"SSH-2.0-server\r\n") as (connection, _):
        with pytest.raises(ConnectionError, match="no HTTP"):
            await connection.request("GET", "/")


# The command line.


def plan(**changed: Any) -> Plan:
    given: dict[str, Any] = {
        "seconds": 5, "warm_up": 1, "buyers": "1", "rates": "10", "products": 10, "only": "",
        "soak": 0, "soak_rate": 5,
    }  # fmt: skip
    return plan_of(**given | changed)


def test_the_plan_is_read_from_the_command_line() -> None:
    read = plan(buyers="2,4", rates="2.5", only="checkout, floors")
    assert read.buyers == (2, 4)
    assert read.rates == (2.5,)
    assert read.parts == {"checkout", "floors"}


def test_a_soak_replaces_the_parts_that_are_not_named() -> None:
    assert plan(soak=20).parts == {"soak"}
    assert plan(soak=20, only="rest").parts == {"rest", "soak"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"buyers": "many"}, "numbers"),
        ({"buyers": "0"}, "at least"),
        ({"rates": "0"}, "above 0"),
        ({"rates": "fast"}, "numbers"),
        ({"only": "coffee"}, "no part coffee"),
        ({"only": "soak"}, "no part soak"),
    ],
)
def test_an_invalid_plan_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        plan(**changed)


def test_a_suite_by_url_needs_its_administrator() -> None:
    with pytest.raises(Refusal, match="--admin-email"):
        running(None, "http://shop.example", "", "")


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    assert commit(tmp_path) is None


# The calibration.


async def test_the_calibration_samples_until_it_is_closed() -> None:
    async with Calibration() as calibration:
        await asyncio.sleep(0)
    assert calibration.median_ms > 0
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
