"""The shape of the house: sizes, names, who may commit, what is never written down."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BANNED = {"utils", "helpers", "common", "base", "misc", "core", "manager", "constants"}
CODE_LINES, TEST_LINES, FUNCTION_LINES = 400, 450, 60
SESSION = "sqlalchemy.ext.asyncio"
WORDS_OF_OTHERS = re.compile(
    "|".join(("pypi" + r"\.org", "files\\.pythonhosted" + r"\.org", "registry\\.npmjs" + r"\.org")),
)


def tracked(*patterns: str) -> list[Path]:
    """Files git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def code() -> list[Path]:
    """Python that is not a test or a migration."""
    return [p for p in tracked("*.py") if "migrations" not in p.parts and "tests" not in p.parts]


def proofs() -> list[Path]:
    """Python that is a test."""
    return [p for p in tracked("*.py") if "tests" in p.parts]


def oversized(files: list[Path], most: int) -> list[str]:
    """Files longer than one thought."""
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files}
    return [f"{name}: {size}" for name, size in sizes.items() if size > most]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def commits(source: str) -> list[int]:
    """Lines that begin or end a transaction by hand."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("commit", "begin", "rollback")
    ]


def publishes(source: str) -> list[int]:
    """Lines that hand a message to the broker."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("publish", "basic_publish")
    ]


def test_no_file_is_more_than_one_thought() -> None:
    assert oversized(code(), CODE_LINES) == []
    assert oversized(proofs(), TEST_LINES) == []


def test_no_function_is_longer_than_a_screen() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{each.lineno} {each.name}"
        for path in code()
        for each in functions(ast.parse(path.read_text()))
        if (each.end_lineno or 0) - each.lineno > FUNCTION_LINES
    ]
    assert found == []


def test_no_module_is_a_drawer() -> None:
    assert [str(p.relative_to(ROOT)) for p in code() if p.stem in BANNED] == []


def test_every_module_opens_with_a_sentence() -> None:
    bare = [p for p in code() if not ast.get_docstring(ast.parse(p.read_text() or '""" """'))]
    assert [str(p.relative_to(ROOT)) for p in bare if p.read_text().strip()] == []


def test_only_the_chassis_ends_transactions() -> None:
    found = {
        str(path.relative_to(ROOT)): commits(path.read_text())
        for path in code()
        if path.is_relative_to(ROOT / "services")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_only_the_relay_and_the_retries_publish() -> None:
    allowed = {
        "libs/chassis/chassis/messaging/relay.py",
        "libs/chassis/chassis/messaging/retries.py",
    }
    allowed |= {"libs/subscriber/subscriber/queues.py"}
    found = {
        str(path.relative_to(ROOT))
        for path in code()
        if path.parts[len(ROOT.parts)] in ("services", "libs") and publishes(path.read_text())
    }
    assert found == allowed


# SQLAlchemy's error and asyncpg's.
BROKEN_CONSTRAINT = {
    "IntegrityError", "IntegrityConstraintViolationError", "UniqueViolationError",
    "ForeignKeyViolationError", "CheckViolationError", "ExclusionViolationError",
}  # fmt: skip


def catches_broken_constraints(source: str) -> list[int]:
    """Lines that handle a broken constraint without a look at which one it is."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and any(
            getattr(kind, "id", getattr(kind, "attr", None)) in BROKEN_CONSTRAINT
            for kind in ast.walk(node.type)
        )
    ]


def test_services_answer_a_broken_constraint_by_its_name() -> None:
    """By `chassis.constraints.violations_as`; any other constraint stays a fault."""
    found = {
        str(path.relative_to(ROOT)): catches_broken_constraints(path.read_text())
        for path in code()
        if path.is_relative_to(ROOT / "services")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}
    for name in ("exc.IntegrityError", "UniqueViolationError"):
        planted = f"try:\n    f()\nexcept (KeyError, {name}):\n    pass\n"
        assert catches_broken_constraints(planted) == [3]


def imports_of(source: str) -> set[str]:
    """The modules a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_rule_holds_a_session() -> None:
    rules = [p for p in code() if {"domain", "saga"} & set(p.with_suffix("").parts)]
    assert rules
    found = {str(p.relative_to(ROOT)) for p in rules if SESSION in imports_of(p.read_text())}
    assert found == set()


def test_the_detectors_see_what_they_look_for() -> None:
    planted = "async def f(s):\n    await s.commit()\n    await exchange.publish(m)\n"
    planted += "    await channel.basic_publish(m)\n"
    assert commits(planted) == [2]
    assert SESSION in imports_of(f"from {SESSION} import AsyncSession")
    assert publishes(planted) == [3, 4]


def test_nothing_names_a_package_index_or_this_machine() -> None:
    here = str(ROOT)
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if WORDS_OF_OTHERS.search(text) or here in text:
            found.append(str(path.relative_to(ROOT)))
    assert found == []


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "LICENSE"])
def test_the_house_has_its_front_door(file: str) -> None:
    assert (ROOT / file).stat().st_size > 500


def test_every_service_has_the_same_rooms() -> None:
    for service in sorted((ROOT / "services").iterdir()):
        name = service.name
        for part in ("pyproject.toml", "README.md", "migrations", "tests", f"{name}/main.py"):
            assert (service / part).exists(), f"{name} has no {part}"
        for role in ("domain", "store", "api", "handlers"):
            file, folder = service / name / f"{role}.py", service / name / role
            missing = not file.exists() and not folder.exists()
            assert not (missing and role != "handlers"), f"{name} has no {role}"


def test_every_decision_names_what_enforces_it() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert decisions
    for decision in decisions:
        lines = decision.read_text().strip().splitlines()
        assert len(lines) <= 40, decision.name
        assert lines[-1].startswith("Enforced by"), decision.name
