"""Checks alerts, their histories and the dashboards with promtool: `make check-deploy` runs it."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

HERE = Path(__file__).parent
# Each change makes an alert fire when it must not, or not fire when it must.
PLANTED = {
    "(cartwright_sagas_overdue) > 0": "(cartwright_sagas_overdue) > 3",
    'state="parked"': 'state="waiting"',
    "for: 2m": "for: 20m",
}


def promtool(folder: Path) -> Path:
    """Prometheus' own checker: installed, or out of Debian's package; exits where neither is."""
    if found := shutil.which("promtool"):
        return Path(found)
    program = folder / "debian/usr/bin/promtool"
    if not program.exists():
        print("· fetching promtool, out of the package prometheus", flush=True)  # noqa: T201
        fetch = "apt-get download -qq prometheus && dpkg -x prometheus_*.deb debian"
        done = subprocess.run(  # noqa: S602
            fetch, shell=True, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(
                "✗ promtool is missing: install Prometheus (Debian: apt-get install prometheus)"
            )
    return program


def said(program: Path, folder: Path, *words: str) -> str:
    """What promtool says when it is not content, else nothing."""
    done = subprocess.run(  # noqa: S603
        [program, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    return f"{done.stdout}{done.stderr}".strip() if done.returncode else ""


def queries() -> dict[str, list[dict[str, object]]]:
    """Every query of every dashboard as a recording rule, its variables filled in."""
    rules: list[dict[str, object]] = []
    for file in sorted((HERE / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                filled = target["expr"].replace("$__rate_interval", "5m").replace("$service", ".*")
                record = f"panel:{len(rules)}"
                labels = {"board": file.stem, "panel": panel["title"]}
                rules.append({"record": record, "expr": filled, "labels": labels})
    return {"groups": [{"name": "dashboards", "rules": rules}]}  # type: ignore[list-item]


def faults(program: Path, folder: Path) -> Iterator[str]:
    """What is wrong."""
    shutil.copytree(HERE, folder / "files", dirs_exist_ok=True)
    files = folder / "files"
    (files / "queries.yaml").write_text(yaml.safe_dump(queries()))
    for words in (
        ("check", "rules", "alerts.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("check", "rules", "queries.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ):
        if fault := said(program, files, *words):
            yield f"{' '.join(words)}: {fault}"
    sound = (HERE / "alerts.yaml").read_text()
    for old, new in PLANTED.items():
        broken = sound.replace(old, new)
        if broken == sound:
            yield f"`{old}` is gone: plant another defect"
        (files / "alerts.yaml").write_text(broken)
        if not said(program, files, "test", "rules", "alerts_test.yaml"):
            yield f"the histories do not see `{new}` in the place of `{old}`"


def main() -> None:
    """Run every check; 1 when one is not content."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for copies and promtool")
    folder = parser.parse_args().out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found = list(faults(promtool(folder), folder))
    mark = "✗" if found else "✓"
    print("\n".join([f"{mark} Alerts and dashboards, by promtool", *found]))  # noqa: T201
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
