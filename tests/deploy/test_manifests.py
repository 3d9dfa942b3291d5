"""The rendered Kubernetes manifests hold every rule, and every rule sees what it looks for."""

import pickle
import re
from collections.abc import Callable

import network
import pytest
import rules
from rendered import (
    OVERLAYS,
    Json,
    Manifests,
    composition,
    containers,
    image_name,
    labels,
    manifests,
    running,
    settings_of,
)

from suite import kubernetes, repository, secrets, service_list

SERVICES = repository.services(repository.ROOT)
DOCUMENTED = repository.ROOT / "docs/operations/network.md"
ROW = re.compile(r"^\| `([\w-]+)` \| `([\w-]+)` \| (\d+) \|", re.MULTILINE)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_breaks_no_rule(overlay: str) -> None:
    assert rules.violations(manifests(overlay)) == []


def test_the_probed_paths_are_what_services_serve() -> None:
    assert rules.served_paths() == rules.SERVED


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_is_deployed_in_all_its_parts(overlay: str) -> None:
    found = manifests(overlay)
    for service in SERVICES:
        assert service in found.names("Service")
        assert {f"{service}-api", f"{service}-worker"} <= found.names("Deployment")
        assert f"{service}-migrate" in found.names("Job")
        assert {f"{service}-api", f"{service}-worker"} <= found.names("PodDisruptionBudget")
    if overlay == "production":
        assert {f"{name}-worker" for name in SERVICES} == found.names("ScaledObject")
        assert {f"{name}-api" for name in SERVICES} == found.names("HorizontalPodAutoscaler")
        queues = {
            each["spec"]["triggers"][0]["metadata"]["queueName"]
            for each in found.of("ScaledObject")
        }
        assert queues == {f"svc.{name}" for name in SERVICES}
        assert queues <= {each["spec"]["name"] for each in found.of("Queue")}
        assert found.names("Database") == set(SERVICES)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_may_speak_to_whom_is_what_is_documented(overlay: str) -> None:
    of_the_sandbox = {"sandbox-provider", "mailcatcher", "postgres", "rabbitmq", "provision"}
    documented = {(a, b, int(port)) for a, b, port in ROW.findall(DOCUMENTED.read_text())}
    assert documented
    if overlay == "production":
        # There the servers are the operators' pods, and the sandbox is not there.
        documented = {pair for pair in documented if not of_the_sandbox & set(pair[:2])}
    wide = set()
    for source, target, port in network.pairs(manifests(overlay)):
        wide.add((source, target, port))
    assert wide == expanded(documented)


def expanded(documented: set[network.Pair]) -> set[network.Pair]:
    """The documented pairs, `services` written out as each of them."""
    groups = {
        "services": [f"{name}-{kind}" for name in SERVICES for kind in ("api", "worker")],
        "apis": [f"{name}-api" for name in SERVICES],
        "migrations": [f"{name}-migrate" for name in SERVICES],
        **{name: [f"{name}-api", f"{name}-worker"] for name in SERVICES},
    }
    return {
        (source, target, port)
        for wide_source, wide_target, port in documented
        for source in groups.get(wide_source, [wide_source])
        for target in groups.get(wide_target, [wide_target])
    }


def test_compose_and_kubernetes_run_the_same_images_with_the_same_settings() -> None:
    composed = composition()["services"]
    found = manifests("dev")
    ours = {image_name(each["image"].replace("${REGISTRY:-cartwright}", "cartwright"))
            for each in composed.values() if "REGISTRY" in each["image"]}  # fmt: skip
    deployed = {image_name(c["image"]) for w in found.workloads() for c in containers(w)}
    assert ours == {each for each in deployed if each.startswith("cartwright/")}
    servers = {each["image"].partition(":-")[2].rstrip("}") for name, each in composed.items()
               if name in ("postgres", "rabbitmq")}  # fmt: skip
    assert servers == {c["image"] for w in found.of("StatefulSet") for c in containers(w)}

    maps = {each["metadata"]["name"]: each.get("data") or {} for each in found.of("ConfigMap")}
    secret = {each["metadata"]["name"]: set(each["data"]) for each in dev_secrets()}
    for service in SERVICES:
        workload = found.named("Deployment", f"{service}-api")
        given: set[str] = set()
        for kind, wanted, _ in rules.references(workload):
            if wanted != "identity-keys":
                given |= set(maps[wanted]) if kind == "ConfigMap" else secret[wanted]
        in_compose = set(composed[service]["environment"])
        # Only `migrate` makes the first administrator; compose shares one list with it.
        assert given == in_compose - {"BOOTSTRAP_ADMIN_PASSWORD"}, service
        every, needed = settings_of(service)
        assert needed - {"PORT"} <= in_compose <= every


def dev_secrets() -> list[Json]:
    """What `make secrets` prints."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        entries = service_list.load(repository.ROOT).values()
        made = secrets.ensure(Path(folder), entries)
        return kubernetes.manifests(made, entries, "cartwright")


def test_the_secrets_of_dev_are_those_its_pods_read() -> None:
    made = {each["metadata"]["name"]: set(each["data"]) for each in dev_secrets()}
    found = manifests("dev")
    assert set(made) == rules.secrets_needed(found)
    for workload in found.workloads():
        for kind, wanted, key in rules.references(workload):
            assert kind != "Secret" or key is None or key in made[wanted]


def test_the_dev_and_production_secrets_have_the_same_keys() -> None:
    production = {
        each["metadata"]["name"]: set(each["spec"]["target"].get("template", {}).get("data", {}))
        for each in manifests("production").of("ExternalSecret")
    }
    for made in dev_secrets():
        name, keys = made["metadata"]["name"], set(made["data"])
        if name.endswith(("-secrets", "-migrator")) and name.split("-")[0] in SERVICES:
            # A real mail server wants to know who is sending.
            assert production[name] - {"SMTP_USERNAME", "SMTP_PASSWORD"} == keys, name


def test_roles_and_users_of_production_are_one_per_service() -> None:
    found = manifests("production")
    roles = found.named("Cluster", "postgres")["spec"]["managed"]["roles"]
    assert {role["name"] for role in roles} == {*SERVICES, "migrator"}
    assert not any(role.get("superuser") or role.get("createdb") for role in roles)
    assert found.names("User") == set(SERVICES)
    secret = {each["spec"]["importCredentialsSecret"]["name"] for each in found.of("User")}
    secret |= {role["passwordSecret"]["name"] for role in roles}
    assert secret <= {each["spec"]["target"]["name"] for each in found.of("ExternalSecret")}


def pod_of(found: Manifests, deployment: str) -> Json:
    return dict(found.named("Deployment", deployment)["spec"]["template"]["spec"])


def probed(path: str) -> Callable[[Manifests], None]:
    def plant(found: Manifests) -> None:
        running(found.named("Deployment", "orders-api"))[0]["readinessProbe"]["httpGet"] = {
            "path": path, "port": "http",
        }  # fmt: skip

    return plant


def plant_selector(found: Manifests) -> None:
    found.named("Deployment", "orders-api")["spec"]["selector"]["matchLabels"] = {
        "app.kubernetes.io/name": "orders"
    }


def plant_service(found: Manifests) -> None:
    found.named("Service", "orders")["spec"]["selector"] = {"app.kubernetes.io/name": "order"}


def plant_port(found: Manifests) -> None:
    found.named("Service", "orders")["spec"]["ports"][0]["targetPort"] = "web"


def plant_reference(found: Manifests) -> None:
    running(found.named("Deployment", "orders-api"))[0]["envFrom"][0]["configMapRef"] = {
        "name": "shared-gone"
    }


def plant_volume(found: Manifests) -> None:
    pod_of(found, "orders-api")["volumes"].clear()


def plant_target(found: Manifests) -> None:
    found.named("HorizontalPodAutoscaler", "orders-api")["spec"]["scaleTargetRef"]["name"] = (
        "orders"
    )


def plant_budget(found: Manifests) -> None:
    found.named("PodDisruptionBudget", "orders-api")["spec"]["selector"] = {
        "matchLabels": {"app.kubernetes.io/component": "api"}
    }


def plant_policy(found: Manifests) -> None:
    found.named("NetworkPolicy", "orders-calls-services")["spec"]["podSelector"] = {
        "matchLabels": {"app.kubernetes.io/name": "order"}
    }


def plant_variable(found: Manifests) -> None:
    for each in found.of("ConfigMap"):
        if each["metadata"]["name"].startswith("orders-settings"):
            each["data"]["CARTURL"] = each["data"].pop("CART_URL")


def plant_root(found: Manifests) -> None:
    pod_of(found, "orders-api")["securityContext"]["runAsNonRoot"] = False


def plant_rights(found: Manifests) -> None:
    del running(found.named("Deployment", "orders-api"))[0]["securityContext"]["capabilities"]


def plant_limit(found: Manifests) -> None:
    del running(found.named("Deployment", "orders-api"))[0]["resources"]["limits"]


def plant_image(found: Manifests) -> None:
    running(found.named("Deployment", "orders-api"))[0]["image"] = "cartwright/orders"


def plant_secret(found: Manifests) -> None:
    found.of("ConfigMap")[0].setdefault("data", {})["ADMIN_PASSWORD"] = "x"


def plant_twin(found: Manifests) -> None:
    found.objects.append(found.of("Service")[0])


@pytest.mark.parametrize(
    ("plant", "seen_by"),
    [
        (plant_selector, "selectors_pick_their_own_pods"),
        (plant_service, "services_lead_to_a_port_that_listens"),
        (plant_port, "services_lead_to_a_port_that_listens"),
        (plant_reference, "every_reference_resolves"),
        (plant_volume, "every_reference_resolves"),
        (plant_target, "what_scales_and_guards_has_a_target"),
        (plant_budget, "what_scales_and_guards_has_a_target"),
        (plant_policy, "what_scales_and_guards_has_a_target"),
        (probed("/health"), "probes_ask_what_is_served"),
        (plant_variable, "settings_are_documented_and_known"),
        (plant_root, "pods_are_restricted"),
        (plant_rights, "pods_are_restricted"),
        (plant_limit, "pods_are_restricted"),
        (plant_image, "images_are_pinned"),
        (plant_secret, "nothing_secret_is_written_down"),
        (plant_twin, "names_are_defined_once"),
    ],
)
def test_a_planted_defect_is_seen(plant: Callable[[Manifests], None], seen_by: str) -> None:
    broken = pickle.loads(pickle.dumps(manifests("production")))
    plant(broken)
    check = next(each for each in rules.RULES if each.__name__ == seen_by)
    try:
        assert check(broken)
    except KeyError:
        # A variable's map is gone with its reference.
        assert plant is plant_reference


def test_a_pair_too_many_and_a_pair_too_few_are_seen() -> None:
    whole = network.pairs(manifests("production"))
    open_ = pickle.loads(pickle.dumps(manifests("production")))
    for name in ("default-deny", "dns", "docs"):
        open_.objects.remove(open_.named("NetworkPolicy", name))
    assert whole < network.pairs(open_)
    shut = pickle.loads(pickle.dumps(manifests("production")))
    shut.objects.remove(shut.named("NetworkPolicy", "cart"))
    assert whole - network.pairs(shut) == {
        ("orders-api", "cart-api", 8080), ("orders-worker", "cart-api", 8080),
    }  # fmt: skip


def test_labels_name_the_service_of_a_pod() -> None:
    for workload in manifests("production").workloads():
        assert labels(workload)["app.kubernetes.io/part-of"] == "cartwright"
