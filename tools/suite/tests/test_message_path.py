"""The way of a message is measured on real servers, and a message out of order is counted."""

import asyncpg
import httpx

from suite.bench.messages.fixtures import VHOST
from suite.bench.messages.measures import Sizes, message_path
from suite.bench.messages.order import inversions
from suite.instance import Instance

SMALL = Sizes(full=1_500, timed=60, rate=50.0, ordered=60, relays=2)


def test_messages_in_order_have_no_inversions() -> None:
    assert inversions([("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 2), ("a", 3)]) == 0


def test_a_message_that_was_overtaken_is_counted() -> None:
    assert inversions([("a", 1), ("a", 3), ("a", 2), ("b", 1), ("a", 4)]) == 1
    assert inversions([("a", 4), ("a", 3), ("a", 2), ("b", 2), ("b", 1)]) == 3


async def test_everything_is_measured_and_nothing_is_left_on_the_servers(suite: Instance) -> None:
    told: list[str] = []
    found = await message_path(suite, told.append, SMALL)

    for rate in (found["relay"], found["inbox"]):
        assert 0 < rate["messages"] <= SMALL.full
        assert rate["messages_per_s"] > 0
        assert rate["cpu_us_per_message"] > 0
        assert set(rate["servers_us_per_message"]) == {"postgres", "rabbitmq"}
    timed = found["commit_to_consumer"]
    assert 0 < timed["p50_ms"] <= timed["p99_ms"]
    ordered = found["relays_in_order"]
    assert ordered["messages"] == sum(ordered["sent_by_relay"]) == 120
    assert ordered["inversions"] == ordered["repeated"] == 0
    assert "inversions" in told[-1]

    database = await asyncpg.connect(suite.dsn("postgres", "postgres"))
    left = "select count(*) from pg_database where datname like 'bench%'"
    assert await database.fetchval(left) == 0
    await database.close()
    async with httpx.AsyncClient(
        base_url=suite.environment.broker.management_url, trust_env=False
    ) as api:
        assert (await api.get(f"/api/vhosts/{VHOST}")).status_code == 404
        assert (await api.get("/api/users/speaker")).status_code == 404
