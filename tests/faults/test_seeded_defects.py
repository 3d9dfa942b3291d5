"""The attacks find what was planted on purpose, and find nothing where nothing was."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from failures import may_fail, with_defect
from invariants import InvariantChecker
from recorder import recording
from scenarios import Attack
from shopfloor import Staff, staff_of
from suite.instance import Instance
from summary import Watch, keep


@dataclass(frozen=True)
class Defect:
    """What is planted where, the attack that is to find it, and the checks it must break."""

    name: str
    service: str
    attack: str
    caught_by: tuple[str, ...]

    @property
    def settings(self) -> dict[str, str]:
        """The settings by which its service has it."""
        return with_defect(self.name.replace(" ", "_"))


DEFECTS = (
    Defect("naive stock update", "inventory", "rush", ("I1",)),
    Defect("relay without on return raises", "orders", "unbound", ("I5",)),
    Defect("handler without inbox", "inventory", "repeated", ("I6",)),
    Defect("capture without idempotency key", "payments", "answers lost", ("I2",)),
    Defect("saga that forgets finished rows", "orders", "late money", ("I2", "I8")),
)


@asynccontextmanager
async def damaged_suite(defect: Defect, seed: int) -> AsyncIterator[Attack]:
    """A suite of its own in which one service has the defect."""
    folder = Path(os.environ["TEST_INSTANCE"]).with_name("seeded")
    overrides = {**may_fail(folder), defect.service: defect.settings}
    damaged = Instance(folder, "test", overrides=overrides)
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
def test_a_defect_finds_what_it_changes(defect: Defect, tmp_path: Path) -> None:
    settings = {**os.environ, **may_fail(tmp_path)["*"], **defect.settings}
    subprocess.run([sys.executable, "-c", ""], env=settings, check=True)


@pytest.mark.full
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
async def test_the_suite_goes_red_on_a_planted_defect(defect: Defect, seed: int) -> None:
    async with damaged_suite(defect, seed) as attack:
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


@pytest.mark.full
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
