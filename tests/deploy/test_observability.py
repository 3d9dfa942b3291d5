"""Alerts, dashboards and what collects for them, as they are written; `make check-deploy` runs promtool."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered import composition

from suite import repository

FOLDER = repository.ROOT / "deploy/observability"
RUNBOOKS = repository.ROOT / "docs/runbooks"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))


def loaded(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def alerts() -> dict[str, Any]:
    """Every alert by name."""
    return {
        rule["alert"]: rule for group in loaded("alerts.yaml")["groups"] for rule in group["rules"]
    }


def without_a_page(found: dict[str, Any]) -> list[str]:
    """Alerts whose runbook is not there, or has no section of their name."""
    missing = []
    for name, rule in found.items():
        page = repository.ROOT / rule["annotations"].get("runbook_url", "nowhere")
        if not page.is_file() or f"\n## {name}\n" not in page.read_text():
            missing.append(name)
    return missing


def test_every_alert_has_its_section_in_a_runbook() -> None:
    assert len(alerts()) > 15
    assert without_a_page(alerts()) == []
    assert {rule["labels"]["severity"] for rule in alerts().values()} == {"page", "ticket"}


def test_an_alert_without_a_page_is_seen() -> None:
    planted = {"Somewhere": {"annotations": {"runbook_url": "docs/runbooks/stuck-checkout.md"}},
               "Nowhere": {"annotations": {}}}  # fmt: skip
    assert without_a_page(planted) == ["Somewhere", "Nowhere"]


def test_every_section_of_a_runbook_is_about_an_alert() -> None:
    titles = {
        title
        for page in RUNBOOKS.glob("*.md")
        if page.name != "README.md"
        for title in re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    }
    assert titles == set(alerts())


def test_every_alert_has_a_history_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tested = {test["name"] for test in loaded("alerts_test.yaml")["tests"]}
    for name in alerts():
        assert {f"{name} fires", f"{name} stays quiet"} <= tested, name


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_can_be_provisioned(file: Path) -> None:
    board = json.loads(file.read_text())
    sources = {each["uid"] for each in loaded("grafana/datasources.yaml")["datasources"]}
    panels = board["panels"]
    assert board["uid"] == f"cartwright-{file.stem}"
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} <= sources
    assert all(target["expr"] for panel in panels for target in panel["targets"])
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_prometheus_scrapes_the_gateway_where_it_listens() -> None:
    jobs = {job["job_name"]: job for job in loaded("prometheus.yaml")["scrape_configs"]}
    (gateway,) = jobs["gateway"]["static_configs"]
    settings = json.loads((FOLDER.parent / "gateway/settings.json").read_text())
    assert gateway["targets"] == [f"gateway:{settings['metrics_port']}"]


def test_what_compose_mounts_is_there() -> None:
    deploy = FOLDER.parent
    watching = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]
    mounted = [
        source
        for each in watching.values()
        for source in (volume.partition(":")[0] for volume in each.get("volumes", []))
        if source.startswith("./")
    ]
    assert mounted
    assert [source for source in mounted if not (deploy / source).exists()] == []
    added = {name for name, each in watching.items() if each.get("profiles") == ["observability"]}
    assert added == {"prometheus", "alertmanager", "otel-collector", "tempo", "grafana"}
    assert set(watching) - added <= set(composition()["services"])
    ports = {port for each in watching.values() for port in each.get("ports", [])}
    assert all(port.startswith("127.0.0.1:") for port in ports)
