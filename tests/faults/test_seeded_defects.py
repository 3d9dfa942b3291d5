"""The attacks find what was planted on purpose, and find nothing where nothing was."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from failures import may_fail
from invariants import InvariantChecker
from recorder import recording
from scenarios import Attack
from shopfloor import Staff, staff_of
from suite.instance import Instance
from summary import Watch, keep

pytestmark = pytest.mark.full
PLANTED = Path(__file__).parent / "planted"


@dataclass(frozen=True)
class Defect:
    """What is planted where, the attack that is to find it, and the checks it must break."""

    name: str
    service: str
    attack: str
    caught_by: tuple[str, ...]


DEFECTS = (
    Defect("naive stock update", "inventory", "rush", ("I1",)),
    Defect("relay without on return raises", "orders", "unbound", ("I5",)),
    Defect("handler without inbox", "inventory", "repeated", ("I6",)),
    Defect("capture without idempotency key", "payments", "answers lost", ("I2",)),
    Defect("saga that forgets finished rows", "orders", "late money", ("I2", "I8")),
)


@asynccontextmanager
async def with_defect(defect: Defect, seed: int) -> AsyncIterator[Attack]:
    """A suite of its own in which one service has the defect."""
    folder = Path(os.environ["TEST_INSTANCE"]).with_name("planted")
    planted = {"PYTHONPATH": str(PLANTED), "PLANTED": defect.name}
    damaged = Instance(folder, "test", overrides={**may_fail(folder), defect.service: planted})
    damaged.wipe()
    damaged.start()
    try:
        with recording(damaged) as recorder:
            async with (
                httpx.AsyncClient(base_url=damaged.url("gateway"), timeout=60) as http,
                aclosing(InvariantChecker(damaged, recorder)) as books,
            ):
                staff = await staff_of(damaged, http)
                await staff.open_shop()
                yield Attack(damaged, staff, http, books, seed)
    finally:
        damaged.discard()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
async def test_the_suite_goes_red_on_a_planted_defect(defect: Defect, seed: int) -> None:
    async with with_defect(defect, seed) as attack:
        await attack.all()[defect.attack]()
        try:
            await attack.books.settle(40)
            found = await attack.books.violations()
        except AssertionError:
            found = ["I3 never at rest", *await attack.books.violations()]
    caught = sorted({violation[:2] for violation in found})
    print(f"\n{defect.name}: {defect.attack} breaks {', '.join(caught)}")
    for violation in found[:6]:
        print(f"  {violation[:160]}")
    keep(
        {"defect": defect.name, "where": defect.service, "attack": defect.attack, "caught": caught}
    )
    assert set(defect.caught_by) <= set(caught), found


@pytest.mark.parametrize("name", [defect.attack for defect in DEFECTS])
async def test_the_same_attack_finds_nothing_where_nothing_is_planted(
    name: str,
    instance: Instance,
    staff: Staff,
    http: httpx.AsyncClient,
    books: InvariantChecker,
    seed: int,
) -> None:
    watch = Watch(books, f"attack: {name}", seed)
    await Attack(instance, staff, http, books, seed).all()[name]()
    summary = await watch.summary(injected=1)
    assert summary.is_clean(), "\n".join(summary.found)
