"""Checks alerts, whom they reach, and dashboards: `make check-deploy` runs it."""

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
# The receiver of each alert, and a change by which another would get it.
RECEIVERS = {
    ("severity=page", "service=orders"): "pager",
    ("severity=ticket", "service=orders"): "tickets",
    ("alertname=Unknown",): "tickets",
}
PLANTED_ROUTE = ('severity="page"', 'severity="paged"')


def checker(folder: Path, name: str, package: str) -> Path:
    """A program of Prometheus': installed, or out of Debian's package; exits where neither is."""
    if found := shutil.which(name):
        return Path(found)
    program = folder / "debian/usr/bin" / name
    if not program.exists():
        print(f"· fetching {name}, out of the package {package}", flush=True)  # noqa: T201
        fetch = f"apt-get download -qq {package} && dpkg -x {package}_*.deb debian"
        done = subprocess.run(  # noqa: S602
            fetch, shell=True, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"✗ {name} is missing: install it (Debian: apt-get install {package})")
    return program


def output_of(program: Path, folder: Path, *words: str) -> str:
    """The output of promtool when it fails, else nothing."""
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


def misled(program: Path, folder: Path) -> list[str]:
    """Alerts that reach another receiver than intended."""
    misrouted = []
    for labels, receiver in RECEIVERS.items():
        done = subprocess.run(  # noqa: S603
            [program, "config", "routes", "test", "--config.file=alertmanager.yaml", *labels],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.stdout.strip() != receiver:
            misrouted.append(
                f"{' '.join(labels)} reaches {done.stdout}{done.stderr}, not {receiver}"
            )
    return misrouted


def routing(program: Path, folder: Path) -> Iterator[str]:
    """What is wrong with the routes of alerts, by amtool."""
    shutil.copytree(HERE, folder / "files", dirs_exist_ok=True)
    files = folder / "files"
    if fault := output_of(program, files, "check-config", "alertmanager.yaml"):
        yield f"alertmanager.yaml: {fault}"
    yield from misled(program, files)
    sound = (HERE / "alertmanager.yaml").read_text()
    broken = sound.replace(*PLANTED_ROUTE)
    (files / "alertmanager.yaml").write_text(broken)
    if broken == sound or not misled(program, files):
        yield f"no check detects `{PLANTED_ROUTE[1]}` in the place of `{PLANTED_ROUTE[0]}`"


def faults(program: Path, folder: Path) -> Iterator[str]:
    """What is wrong with alerts, their histories and dashboards, by promtool."""
    shutil.copytree(HERE, folder / "files", dirs_exist_ok=True)
    files = folder / "files"
    (files / "queries.yaml").write_text(yaml.safe_dump(queries()))
    for words in (
        ("check", "rules", "alerts.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("check", "rules", "queries.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ):
        if fault := output_of(program, files, *words):
            yield f"{' '.join(words)}: {fault}"
    sound = (HERE / "alerts.yaml").read_text()
    for old, new in PLANTED.items():
        broken = sound.replace(old, new)
        if broken == sound:
            yield f"`{old}` is gone: plant another defect"
        (files / "alerts.yaml").write_text(broken)
        if not output_of(program, files, "test", "rules", "alerts_test.yaml"):
            yield f"the histories do not see `{new}` in the place of `{old}`"


def main() -> None:
    """Run every check; 1 when one is not content."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for copies and promtool")
    folder = parser.parse_args().out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for title, found in (
        ("Alerts and dashboards, by promtool",
         list(faults(checker(folder, "promtool", "prometheus"), folder))),
        ("The receivers of alerts, by amtool",
         list(routing(checker(folder, "amtool", "prometheus-alertmanager"), folder))),
    ):  # fmt: skip
        print("\n".join([f"{'✗' if found else '✓'} {title}", *found]), flush=True)  # noqa: T201
        wrong += len(found)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
