"""Alerts and what collects for them are the same in the cluster; the manifests need kubectl."""

import importlib.util
import re
from typing import Any

import pytest
import scraping
import yaml
from rendered import Manifests, manifests
from test_observability import FOLDER, alerts, loaded

from suite import repository


def test_the_cluster_has_the_same_alerts() -> None:
    spec = importlib.util.spec_from_file_location("rule_object", FOLDER / "rule_object.py")
    assert spec is not None and spec.loader is not None
    rule_object = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule_object)
    instruction = "run `python deploy/observability/rule_object.py`"
    assert rule_object.OBJECT.read_text() == rule_object.rendered(), instruction
    deployed = manifests("production").named("PrometheusRule", "cartwright")["spec"]
    assert deployed == loaded("alerts.yaml")


def test_the_cluster_receives_the_same_requests() -> None:
    assert scraping.disagreements(manifests("production"), loaded("prometheus.yaml")) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("path: /metrics\n", "path: /metric\n", "cartwright: the path is /metric in the cluster"),
        ("- port: http\n", "- port: https\n", "cartwright: orders-api has https on None"),
        ("port: 15692", "port: 15693", "rabbitmq: no policy lets {15692} of rabbitmq be scraped"),
        ("[api, worker]", "[apis]", "cartwright: no pod is picked"),
        ("replacement: gateway", "replacement: envoy", "gateway: the job is envoy"),
        ("vhost: [cartwright]", "vhost: [/]", "rabbitmq: parameters is"),
    ],
)
def test_a_monitor_that_looks_elsewhere_is_seen(old: str, new: str, fault: str) -> None:
    whole = manifests("production")
    folder = repository.ROOT / "deploy/k8s/components/observability"
    text = "---\n".join((folder / name).read_text() for name in ("pods.yaml", "network.yaml"))
    assert old in text
    planted = [each for each in yaml.safe_load_all(text.replace(old, new)) if each]
    replaced = {(each["kind"], each["metadata"]["name"]) for each in planted}
    others = [e for e in whole.objects if (e["kind"], e["metadata"]["name"]) not in replaced]
    found = scraping.disagreements(Manifests([*others, *planted]), loaded("prometheus.yaml"))
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
    for name, kind, value in (
        one for m in matchers for one in re.findall(r'^(\w+)(=~?)"(.*)"$', m)
    ):
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
