"""The measures of the message path on real servers, and the count of inversions."""

import asyncpg
import httpx

from bench.messages.fixtures import CONSUMER, PRODUCER, VHOST
from bench.messages.measures import Sizes, inversions, message_path
from suite.instance import Instance

SMALL = Sizes(full=1_500, timed=60, rate=50.0, ordered=60, relays=2)


def test_messages_in_order_have_no_inversions() -> None:
    assert inversions([("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 2), ("a", 3)]) == 0


def test_each_message_handled_after_a_later_one_is_an_inversion() -> None:
    assert inversions([("a", 1), ("a", 3), ("a", 2), ("b", 1), ("a", 4)]) == 1
    assert inversions([("a", 4), ("a", 3), ("a", 2), ("b", 2), ("b", 1)]) == 3


async def test_every_measure_runs_and_leaves_nothing_on_the_servers(servers: Instance) -> None:
    reported: list[str] = []
    found = await message_path(servers, reported.append, SMALL)

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
    assert "inversions" in reported[-1]

    database = await asyncpg.connect(servers.dsn("postgres", "postgres"))
    left = "select count(*) from pg_database where datname like 'bench%'"
    assert await database.fetchval(left) == 0
    await database.close()
    async with httpx.AsyncClient(
        base_url=servers.environment.broker.management_url, trust_env=False
    ) as api:
        assert (await api.get(f"/api/vhosts/{VHOST}")).status_code == 404
        for user in (PRODUCER, CONSUMER):
            assert (await api.get(f"/api/users/{user}")).status_code == 404
