"""Alerts, dashboards and what collects for them, as they are written; `make check-deploy` runs promtool."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import scraping
import yaml
from rendered import Manifests, composition, manifests

from suite import repository

FOLDER = repository.ROOT / "deploy/observability"
RUNBOOKS = repository.ROOT / "docs/runbooks"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
SERVICES = repository.services(repository.ROOT)


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
    planted = {"Nobody": {"annotations": {"runbook_url": "docs/runbooks/stuck-checkout.md"}},
               "Nowhere": {"annotations": {}}}  # fmt: skip
    assert without_a_page(planted) == ["Nobody", "Nowhere"]


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


def test_the_cluster_has_the_same_alerts() -> None:
    spec = importlib.util.spec_from_file_location("rule_object", FOLDER / "rule_object.py")
    assert spec is not None and spec.loader is not None
    rule_object = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule_object)
    told = "run `python deploy/observability/rule_object.py`"
    assert rule_object.OBJECT.read_text() == rule_object.rendered(), told
    deployed = manifests("production").named("PrometheusRule", "cartwright")["spec"]
    assert deployed == loaded("alerts.yaml")


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


def test_prometheus_scrapes_every_service_where_it_listens() -> None:
    jobs = {job["job_name"]: job for job in loaded("prometheus.yaml")["scrape_configs"]}
    targets = {t for each in jobs["cartwright"]["static_configs"] for t in each["targets"]}
    assert targets == {f"{service}:8080" for service in SERVICES}
    (gateway,) = jobs["gateway"]["static_configs"]
    settings = json.loads((FOLDER.parent / "gateway/settings.json").read_text())
    assert gateway["targets"] == [f"gateway:{settings['metrics_port']}"]


def test_the_cluster_receives_the_same_requests() -> None:
    assert scraping.disagreements(manifests("production"), loaded("prometheus.yaml")) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("path: /metrics\n", "path: /metric\n", "cartwright: the path is /metric in the cluster"),
        ("- port: http\n", "- port: https\n", "cartwright: orders-api has https on None"),
        ("port: 15692", "port: 15693", "rabbitmq: no policy lets {15692} of rabbitmq be asked"),
        ("[api, worker]", "[apis]", "cartwright: no pod is picked"),
        ("replacement: gateway", "replacement: envoy", "gateway: the job is envoy"),
        ("vhost: [cartwright]", "vhost: [/]", "rabbitmq: what is asked is"),
    ],
)
def test_a_monitor_that_looks_elsewhere_is_seen(old: str, new: str, fault: str) -> None:
    whole = manifests("production")
    folder = repository.ROOT / "deploy/k8s/components/observability"
    text = "---\n".join((folder / name).read_text() for name in ("pods.yaml", "network.yaml"))
    assert old in text
    planted = [each for each in yaml.safe_load_all(text.replace(old, new)) if each]
    replaced = {(each["kind"], each["metadata"]["name"]) for each in planted}
    kept = [e for e in whole.objects if (e["kind"], e["metadata"]["name"]) not in replaced]
    found = scraping.disagreements(Manifests([*kept, *planted]), loaded("prometheus.yaml"))
    assert any(each.startswith(fault) for each in found), found


def camel(node: Any) -> Any:
    """Alertmanager's own names as the operator writes them: `group_wait` is `groupWait`."""
    if isinstance(node, list):
        return [camel(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        re.sub(r"_(\w)", lambda found: found[1].upper(), key): camel(value)
        for key, value in node.items()
    }


def written_out(matchers: list[str]) -> list[dict[str, str]]:
    """`severity="page"` as the operator writes it, for whom equality needs no word."""
    found = []
    for name, kind, value in (re.fullmatch(r'(\w+)(=~?)"(.*)"', m).groups() for m in matchers):
        found.append({"name": name, "value": value} | ({} if kind == "=" else {"matchType": kind}))
    return found


def test_the_cluster_alerts_the_same_receivers() -> None:
    found = manifests("production")
    spec = found.named("AlertmanagerConfig", "cartwright")["spec"]
    own = loaded("alertmanager.yaml")
    for route in own["route"]["routes"]:
        route["matchers"] = written_out(route["matchers"])
    assert spec["route"] == camel(own["route"])
    assert spec["inhibitRules"] == [
        {"sourceMatch": written_out(each["source_matchers"]),
         "targetMatch": written_out(each["target_matchers"])}
        for each in own["inhibit_rules"]
    ]  # fmt: skip
    inhibited = {
        name
        for each in spec["inhibitRules"]
        for matcher in (*each["sourceMatch"], *each["targetMatch"])
        for name in matcher["value"].split("|")
    }
    assert inhibited
    assert inhibited <= set(alerts())


def test_what_receivers_are_reached_by_is_a_secret() -> None:
    found = manifests("production")
    receivers = found.named("AlertmanagerConfig", "cartwright")["spec"]["receivers"]
    pager, tickets = receivers
    wanted = [pager["pagerdutyConfigs"][0]["routingKey"], tickets["slackConfigs"][0]["apiURL"]]
    made = found.named("ExternalSecret", "alerting")["spec"]["target"]
    assert {each["name"] for each in wanted} == {made["name"]}
    assert {each["key"] for each in wanted} == set(made["template"]["data"])
    own = loaded("alertmanager.yaml")["receivers"]
    assert [each["name"] for each in own] == [each["name"] for each in receivers]
    files = {own[0]["pagerduty_configs"][0]["routing_key_file"],
             own[1]["slack_configs"][0]["api_url_file"]}  # fmt: skip
    watching = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]
    mounted = {volume.split(":")[-2] for volume in watching["alertmanager"]["volumes"]}
    assert files <= mounted


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
