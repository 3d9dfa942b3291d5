"""Writes a new service: one table, one route, one event, their tests, and its entry in the list."""

import importlib.util
import keyword
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from suite import ports, render, service_list
from suite.refusals import Refusal

SKELETON = Path(__file__).with_name("skeleton")
# Names of containers, hosts, roles, databases and settings that a service would share.
TAKEN = frozenset(
    (
        *ports.FIXED, "admin", "api", "app", "cluster", "guest", "migrate", "migrator", "none",
        "provision", "public", "sandbox", "service", "shared", "template", "user", "worker",
    )
)  # fmt: skip
# What is derived from the service's code, in this order: each needs what the one before wrote.
DERIVED: tuple[tuple[str, ...], ...] = (
    ("suite", "render"),
    ("contracts.snapshots",),
    ("suite", "topology"),
    ("suite", "retention"),
    ("suite", "openapi"),
)


def create(root: Path, name: str, report: Callable[[str], None]) -> list[Path]:
    """Write the service and what is derived from it; returns the files of its own.

    Raises Refusal for a name that cannot be used; nothing is written then.
    """
    if reason := _unusable(root, name):
        raise Refusal(f"{name!r} cannot be the name of a service: {reason}.")
    files = skeleton(name)
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
        report(f"wrote {file}")
    with (root / service_list.FILE).open("a") as known:
        known.write(f'\n[services.{name}]\nroutes = ["/v1/{name}"]\n')
    report(f"added it to {service_list.FILE}")
    # Imports are sorted and lines broken by the name.
    code = [str(file) for file in files if file.suffix == ".py"]
    _run(root, name, "ruff", "check", "--fix-only", "--exit-zero", "--force-exclude", *code)
    _run(root, name, "ruff", "format", "--force-exclude", *code)
    for command in DERIVED:
        _run(root, name, *command)
    report(f"rendered what follows from it and from {service_list.FILE}")
    return [*files, service_list.FILE]


def skeleton(name: str) -> dict[Path, str]:
    """Return the files of a new service by their paths in the tree."""
    values = {"name": name, "title": name.capitalize()}
    return {
        Path(str(file.relative_to(SKELETON)).replace("NAME", name)).with_suffix(""): (
            render.jinja.from_string(file.read_text()).render(values)
        )
        for file in sorted(SKELETON.rglob("*.j2"))
    }


def _unusable(root: Path, name: str) -> str | None:
    """Return why the name cannot be used, or None."""
    if not re.fullmatch(service_list.NAME, name):
        return "it must be 2 to 30 lower-case letters, as in `loyalty`"
    known = service_list.load(root)
    routes = [
        f"the gateway routes {prefix} to {other}"
        for other, each in known.items()
        for prefix in each.routes
        if f"{prefix}/".startswith(f"/v1/{name}/")
    ]
    is_installed = importlib.util.find_spec(name) is not None
    reasons = {
        "this service exists": name in known or (root / "services" / name).exists(),
        "Python has this name": keyword.iskeyword(name) or name in sys.stdlib_module_names,
        "a package, process or role has this name": is_installed or name in TAKEN,
        "the contracts have a module of this name": importlib.util.find_spec(f"contracts.{name}"),
        **dict.fromkeys(routes, True),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _run(root: Path, name: str, *command: str) -> None:
    """Run a module of the tree in a new process, which imports the service. Raises Refusal."""
    packages = [root / "services" / name, os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(each) for each in packages if each)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Refusal(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}".strip())
