"""A working tree with two tiny services, and instances of the suite that run it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from suite import topology
from suite.instance import Instance
from suite.repository import POSTGRES_LOCK, ROOT
from suite.topology import TRACKED

SERVICE = Path(__file__).parent / "placeholder/service.py"


@dataclass(frozen=True)
class MessageStub:
    """A message class as the topology uses it."""

    kind: str
    key: str
    senders: tuple[str, ...] = ()

    def routing_key(self) -> str:
        return self.key


class Bakery:
    """Two services: the waiter sends the command to bake, the baker publishes that it baked."""

    bake = MessageStub("command", "baker.Bake", senders=("waiter",))
    baked = MessageStub("event", "baker.Baked")

    def definitions(self, *, waiter_subscribed: bool = True) -> dict[str, Any]:
        handled = [self.baked] if waiter_subscribed else []
        subscriptions: Any = {"waiter": handled, "baker": [self.bake]}
        commands: Any = [self.bake]
        return topology.definitions(subscriptions, commands)

    def write(self, root: Path, *, waiter_subscribed: bool = True) -> None:
        file = root / TRACKED
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(topology.as_text(self.definitions(waiter_subscribed=waiter_subscribed)))


def make_tree(root: Path) -> Path:
    """Create a working tree with the services of the bakery."""
    for name in ("baker", "waiter"):
        package = root / "services" / name / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        shutil.copy(SERVICE, package / "__main__.py")
    Bakery().write(root)
    (root / "services.toml").write_text("[services.baker]\n[services.waiter]\n")
    (root / POSTGRES_LOCK).parent.mkdir()
    shutil.copy(ROOT / POSTGRES_LOCK, root / POSTGRES_LOCK)
    return root


@pytest.fixture(scope="session")
def bakery() -> Bakery:
    return Bakery()


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def suite(tree: Path) -> Iterator[Instance]:
    """A running instance of the tree, shared by all tests; every test leaves it running."""
    instance = Instance(tree / ".run/up", root=tree)
    try:
        instance.start()
        yield instance
    finally:
        instance.wipe()


@pytest.fixture
def make_instance() -> Iterator[Callable[..., Instance]]:
    """Create instances that end with the test, also when it fails."""
    made: list[Instance] = []

    def make(folder: Path, root: Path, **options: Any) -> Instance:
        made.append(Instance(folder, root=root, **options))
        return made[-1]

    yield make
    for instance in made:
        instance.wipe()
