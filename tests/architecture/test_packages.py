"""Every service installs and composes without its siblings: only contracts, chassis and third parties."""

import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from suite import repository

ROOT = Path(__file__).resolve().parents[2]
SERVICES = repository.services(ROOT)
IMPORT = """
import sys
sys.path[:0] = sys.argv[2:]
import importlib
service = importlib.import_module(f"{sys.argv[1]}.main").service
from chassis.revisions import folder_of
assert list(folder_of(service.name).glob("0001_*.py")), "the migrations are not in the package"
assert SERVICES & set(sys.modules) == {sys.argv[1]}, SERVICES & set(sys.modules)
assert "alembic" not in sys.modules, "only `migrate` needs it"
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of every local package, unpacked in a folder of its own, by import name."""
    folder = tmp_path_factory.mktemp("wheels")
    packages = [ROOT / "libs/contracts", ROOT / "libs/chassis", ROOT / "libs/subscriber"]
    packages += [ROOT / "services" / name for name in SERVICES]
    found = {}
    for package in packages:
        (built,) = WheelBuilder(str(package)).build(directory=str(folder), versions=["standard"])
        wheel = Path(built)
        name = wheel.name.split("-")[0].removeprefix("cartwright_")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / name)
        found[name] = folder / name
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_composes_without_its_siblings(service: str, wheels: dict[str, Path]) -> None:
    third_parties = sysconfig.get_paths()["purelib"]
    path = [wheels["contracts"], wheels["chassis"], wheels["subscriber"], wheels[service]]
    path += [Path(third_parties)]
    script = f"SERVICES = {set(SERVICES)!r}\n{IMPORT}"
    # -S leaves out the editable installs of this checkout, so that a sibling cannot be found.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, service, *map(str, path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# What a wheel of production lacks: the test kit, its modules, and means to end the process.
TEST_CODE = re.compile(r"\b(testkit|pytest|SIGKILL|SIGSTOP)\b|crash_?points", re.IGNORECASE)


def code_of_tests(folder: Path) -> set[str]:
    """The files of a wheel that are, or import, what only tests need."""
    modules = [file for file in folder.rglob("*.py") if "migrations" not in file.parts]
    return {
        str(file.relative_to(folder))
        for file in modules
        if file.stem.startswith(("test", "conftest")) or TEST_CODE.search(file.read_text())
    }


def test_no_wheel_contains_test_code(wheels: dict[str, Path], tmp_path: Path) -> None:
    assert {
        name: found for name, folder in wheels.items() if (found := code_of_tests(folder))
    } == {}
    (tmp_path / "testing.py").write_text("")
    (tmp_path / "hook.py").write_text('os.environ.get("CRASH_POINTS")\n')
    assert code_of_tests(tmp_path) == {"testing.py", "hook.py"}


ALONE = """
import sys
sys.path[:0] = sys.argv[1:]
import importlib.abc, importlib.metadata

ALLOWED = {"contracts", "pydantic", "pydantic_core", "annotated_types", "typing_extensions",
           "typing_inspection", *sys.stdlib_module_names}

class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and not name.startswith("_"):
            raise ImportError(f"{name} is not part of pydantic")

sys.meta_path.insert(0, Guard())
from contracts import asyncapi, catalogue
entry = catalogue.find("orders.OrderPlaced")
print(entry.message.decode(__import__("json").dumps(entry.data).encode()).order_number)
assert asyncapi.is_current()
"""


KIT = """
import sys
sys.path[:0] = sys.argv[1:]
FORBIDDEN = {"chassis", "cartwright", "fastapi", "suite", "asyncpg"}
import subscriber, subscriber.log, subscriber.feed, subscriber.queues
without = {"sqlalchemy"} & set(sys.modules)
import subscriber.inbox
print(sorted(without | FORBIDDEN & {name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(("planted", "found"), [("", "[]"), ("import asyncpg\n", "['asyncpg']")])
def test_the_subscriber_kit_needs_nothing_of_the_shop(
    wheels: dict[str, Path], planted: str, found: str
) -> None:
    path = [wheels["contracts"], wheels["subscriber"], Path(sysconfig.get_paths()["purelib"])]
    script = KIT.replace("import subscriber,", f"{planted}import subscriber,")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, *map(str, path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, found), done.stderr
    assert (wheels["subscriber"] / "subscriber/py.typed").exists()


def test_the_contracts_work_with_pydantic_alone(wheels: dict[str, Path]) -> None:
    third_parties = sysconfig.get_paths()["purelib"]
    for planted, code in (("", 0), ("import httpx\n", 1)):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ALONE + planted, wheels["contracts"], third_parties],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (code, "2026-000042\n"), done.stderr
    assert (wheels["contracts"] / "contracts/py.typed").exists()
