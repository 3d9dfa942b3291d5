"""Every process of the suite dies by SIGKILL in the midst of checkouts, and nothing is lost."""

import httpx
import pytest

from chaos_buyers import ChaosBuyers, Persistent
from invariants import SERVICES, InvariantChecker
from shopfloor import Staff
from suite.instance import Instance

BUYERS = 4
# What an order ends as when a part was away for longer than a stage of its checkout may last.
ENDINGS = {"confirmed", "cancelled"}


@pytest.fixture
def storm(instance: Instance, staff: Staff, http: httpx.AsyncClient) -> ChaosBuyers:
    """Buyers about to come."""
    return ChaosBuyers(instance, staff, Persistent(http))


async def weather(storm: ChaosBuyers, *victims: str) -> None:
    """Kill while orders are under way; each ends, each is found, and each was made once."""
    product = await storm.staff.sell(stock=100)
    sagas = await storm.rages(product, BUYERS, lambda: storm.kill(*victims))
    assert len(set(storm.orders)) == 2 * BUYERS == len(sagas)
    assert {order["status"] for order in await storm.found()} <= ENDINGS


@pytest.mark.parametrize("victim", [*SERVICES, "sandbox_provider", "gateway"])
async def test_a_process_is_killed_in_the_midst_of_checkouts(
    storm: ChaosBuyers, at_rest: InvariantChecker, victim: str
) -> None:
    await weather(storm, victim)


async def test_the_broker_is_killed_in_the_midst_of_checkouts(
    storm: ChaosBuyers, at_rest: InvariantChecker
) -> None:
    await weather(storm, "rabbitmq")


async def test_the_databases_are_killed_in_the_midst_of_checkouts(
    storm: ChaosBuyers, at_rest: InvariantChecker
) -> None:
    await weather(storm, "postgres")


async def test_two_participants_are_killed_at_once(
    storm: ChaosBuyers, at_rest: InvariantChecker
) -> None:
    await weather(storm, "orders", "payments")
