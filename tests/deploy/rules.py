"""What no schema sees in the manifests; each rule returns its violations in words, none is good."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from rendered import Json, Manifests, containers, labels, running, settings_of

from chassis.app import create_app

Rule = Callable[[Manifests], list[str]]
RULES: list[Rule] = []
# Set by the image itself, or read by no settings class.
OF_THE_IMAGE = {"HOST", "PORT", "SERVICE"}
SERVED = {"/livez", "/readyz"}


def rule(check: Rule) -> Rule:
    """Add a rule to those every overlay must hold."""
    RULES.append(check)
    return check


def violations(manifests: Manifests) -> list[str]:
    """Everything that is wrong with an overlay."""
    return [f"{check.__name__}: {fault}" for check in RULES for fault in check(manifests)]


def matches(selector: dict[str, Any], found: dict[str, str]) -> bool:
    """Whether a label selector picks these labels."""
    exact = selector.get("matchLabels", {})
    if any(found.get(key) != value for key, value in exact.items()):
        return False
    return all(
        found.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", [])
        if each["operator"] == "In"
    )


def name(each: Json) -> str:
    """`Deployment/orders-api`."""
    return f"{each['kind']}/{each['metadata']['name']}"


@rule
def names_are_defined_once(manifests: Manifests) -> list[str]:
    seen: dict[str, int] = {}
    for each in manifests.objects:
        seen[name(each)] = seen.get(name(each), 0) + 1
    return [each for each, times in seen.items() if times > 1]


@rule
def selectors_pick_their_own_pods(manifests: Manifests) -> list[str]:
    return [
        name(each)
        for each in manifests.of("Deployment", "StatefulSet")
        if not matches(each["spec"]["selector"], labels(each))
        or sum(matches(each["spec"]["selector"], labels(w)) for w in manifests.workloads()) != 1
    ]


@rule
def services_lead_to_a_port_that_listens(manifests: Manifests) -> list[str]:
    found = []
    for service in manifests.of("Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        behind = [w for w in manifests.workloads() if matches(selector, labels(w))]
        if len(behind) != 1:
            found.append(f"{name(service)} leads to {[name(each) for each in behind]}")
            continue
        ports = [p for c in containers(behind[0]) for p in c.get("ports", [])]
        known = {p["name"] for p in ports} | {p["containerPort"] for p in ports}
        for port in service["spec"]["ports"]:
            if port.get("targetPort", port["port"]) not in known:
                found.append(f"{name(service)}: nothing listens on {port}")
    return found


def provided(manifests: Manifests, kind: str) -> set[str]:
    """The names of ConfigMaps or Secrets that are there or are made from outside."""
    if kind == "ConfigMap":
        return manifests.names("ConfigMap")
    # Without External Secrets, `make secrets` makes them: one list, compared in the tests.
    return {each["spec"]["target"]["name"] for each in manifests.of("ExternalSecret")}


def references(workload: Json) -> Iterator[tuple[str, str, str | None]]:
    """What a workload's pods need: (ConfigMap or Secret, its name, a key or None)."""
    for container in containers(workload):
        sources = [*container.get("envFrom", [])]
        sources += [each.get("valueFrom", {}) for each in container.get("env", [])]
        for source in sources:
            for word, found in source.items():
                kind = "ConfigMap" if word.startswith("configMap") else "Secret"
                yield kind, found["name"], found.get("key")
    for volume in workload["spec"]["template"]["spec"].get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None


def secrets_needed(manifests: Manifests) -> set[str]:
    """The names of all Secrets that pods read."""
    found = [r for each in manifests.workloads() for r in references(each)]
    return {wanted for kind, wanted, _ in found if kind == "Secret"}


@rule
def every_reference_resolves(manifests: Manifests) -> list[str]:
    found = []
    external = manifests.of("ExternalSecret")
    for workload in manifests.workloads():
        for kind, wanted, _ in references(workload):
            if kind == "Secret" and not external:
                continue
            if wanted not in provided(manifests, kind):
                found.append(f"{name(workload)} needs {kind}/{wanted}")
        pod = workload["spec"]["template"]["spec"]
        if pod["serviceAccountName"] not in manifests.names("ServiceAccount"):
            found.append(f"{name(workload)} has no ServiceAccount/{pod['serviceAccountName']}")
        declared = {volume["name"] for volume in pod.get("volumes", [])}
        declared |= {
            v["metadata"]["name"] for v in workload["spec"].get("volumeClaimTemplates", [])
        }
        for container in containers(workload):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in declared:
                    found.append(f"{name(workload)} mounts {mount['name']}, which is no volume")
    return found


@rule
def what_scales_and_guards_has_a_target(manifests: Manifests) -> list[str]:
    deployments = manifests.names("Deployment")
    found = [
        f"{name(each)} scales {each['spec']['scaleTargetRef']['name']}"
        for each in manifests.of("HorizontalPodAutoscaler", "ScaledObject")
        if each["spec"]["scaleTargetRef"]["name"] not in deployments
    ]
    for budget in manifests.of("PodDisruptionBudget"):
        guarded = [
            each
            for each in manifests.workloads()
            if matches(budget["spec"]["selector"], labels(each))
        ]
        if len(guarded) != 1:
            found.append(f"{name(budget)} guards {[name(each) for each in guarded]}")
    pods = [labels(each) for each in manifests.workloads()]
    of_operators = [{"app.kubernetes.io/name": "postgres"}, {"app.kubernetes.io/name": "rabbitmq"}]
    if not manifests.of("StatefulSet"):
        pods += of_operators
    for policy in manifests.of("NetworkPolicy"):
        for selector in [policy["spec"]["podSelector"], *peers_of(policy)]:
            if selector and not any(matches(selector, each) for each in pods):
                found.append(f"{name(policy)} speaks of {selector}, which is nothing")
    return found


def peers_of(policy: Json) -> Iterator[dict[str, Any]]:
    """The pod selectors of a policy's other sides."""
    for word, side in (("ingress", "from"), ("egress", "to")):
        for entry in policy["spec"].get(word, []):
            for peer in entry.get(side, []):
                if "podSelector" in peer:
                    yield peer["podSelector"]


@rule
def probes_ask_what_is_served(manifests: Manifests) -> list[str]:
    found = []
    for workload in manifests.of("Deployment", "StatefulSet"):
        for container in running(workload):
            ports = {p["name"]: p["containerPort"] for p in container["ports"]}
            for kind in ("readinessProbe", "livenessProbe"):
                if kind not in container:
                    found.append(f"{name(workload)} has no {kind}")
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind, {})
                target = probe.get("httpGet") or probe.get("tcpSocket")
                if target and target["port"] not in {*ports, *ports.values()}:
                    found.append(f"{name(workload)}: {kind} probes port {target['port']}")
                if "httpGet" in probe and probe["httpGet"]["path"] not in SERVED:
                    found.append(f"{name(workload)}: {kind} probes {probe['httpGet']['path']}")
    return found


def served_paths() -> set[str]:
    """The health paths that every service really serves."""
    application = create_app("any", [])
    return {path for path in (getattr(r, "path", "") for r in application.routes) if "z" in path}


@rule
def settings_are_documented_and_known(manifests: Manifests) -> list[str]:
    """Every variable given to a service is a field of its settings, and every required one is given."""
    found = []
    maps = {each["metadata"]["name"]: each.get("data", {}) for each in manifests.of("ConfigMap")}
    secrets = {
        each["spec"]["target"]["name"]: each["spec"]["target"].get("template", {}).get("data", {})
        for each in manifests.of("ExternalSecret")
    }
    for workload in manifests.workloads():
        service = labels(workload)["app.kubernetes.io/name"]
        if labels(workload)["app.kubernetes.io/component"] not in ("api", "worker", "migrate"):
            continue
        every, needed = settings_of(service)
        given: set[str] = set()
        for kind, wanted, _ in references(workload):
            if kind == "ConfigMap":
                given |= set(maps[wanted])
            elif wanted != "identity-keys":
                given |= set(secrets.get(wanted, {}))
        found += [
            f"{name(workload)} is given {each}" for each in sorted(given - every - OF_THE_IMAGE)
        ]
        if secrets:
            missing = sorted(needed - given - OF_THE_IMAGE)
            found += [f"{name(workload)} is not given {each}" for each in missing]
    return found


@rule
def pods_are_restricted(manifests: Manifests) -> list[str]:
    """The Pod Security Standard `restricted`, and a root that is read only with limits of memory."""
    found = []
    for workload in manifests.workloads():
        pod = workload["spec"]["template"]["spec"]
        rights = pod.get("securityContext", {})
        faults = {
            "may run as root": not rights.get("runAsNonRoot"),
            "has no seccomp profile": rights.get("seccompProfile") != {"type": "RuntimeDefault"},
            "has a token": pod.get("automountServiceAccountToken") is not False,
        }
        for container in containers(workload):
            own = container.get("securityContext", {})
            faults |= {
                "may gain rights": own.get("allowPrivilegeEscalation") is not False,
                "writes to its root": not own.get("readOnlyRootFilesystem"),
                "has capabilities": own.get("capabilities") != {"drop": ["ALL"]},
                "has no limit of memory": "memory" not in container["resources"].get("limits", {}),
                "requests no CPU": "cpu" not in container["resources"].get("requests", {}),
            }
        found += [f"{name(workload)} {fault}" for fault, holds in faults.items() if holds]
    return found


@rule
def images_are_pinned(manifests: Manifests) -> list[str]:
    return [
        f"{name(workload)} runs {container['image']}"
        for workload in manifests.workloads()
        for container in containers(workload)
        if not re.search(r":[^/]+$", container["image"]) or container["image"].endswith(":latest")
    ]


@rule
def nothing_secret_is_written_down(manifests: Manifests) -> list[str]:
    """No Secret is rendered, and no ConfigMap or variable is named like one."""
    secret = re.compile(r"PASSWORD|SECRET$|API_KEY|DATABASE_URL|BROKER_URL")
    found = [name(each) for each in manifests.of("Secret")]
    for each in manifests.of("ConfigMap"):
        found += [f"{name(each)} holds {key}" for key in each.get("data", {}) if secret.search(key)]
    for workload in manifests.workloads():
        for container in containers(workload):
            given = [v["name"] for v in container.get("env", []) if "value" in v]
            found += [f"{name(workload)} is given {key}" for key in given if secret.search(key)]
    return found
