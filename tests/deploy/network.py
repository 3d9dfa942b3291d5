"""Who may speak to whom, worked out from the network policies as a cluster would."""

from rendered import Json, Manifests, labels
from rules import matches

Pair = tuple[str, str, int]


def who(workload: Json) -> str:
    """`orders-api`, or the name alone where there is one kind of pod."""
    own = labels(workload)
    kind = own["app.kubernetes.io/component"]
    service = own["app.kubernetes.io/name"]
    return f"{service}-{kind}" if kind in ("api", "worker", "migrate") else service


def ports_of(workload: Json) -> list[int]:
    """The ports a workload's pods listen on."""
    pod = workload["spec"]["template"]["spec"]
    return [p["containerPort"] for c in pod["containers"] for p in c.get("ports", [])]


def pairs(manifests: Manifests) -> set[Pair]:
    """Every (source, destination, port) inside the namespace that both sides allow."""
    workloads = manifests.workloads()
    return {
        (who(source), who(target), port)
        for source in workloads
        for target in workloads
        for port in ports_of(target)
        if allows(manifests, "Egress", source, target, port)
        and allows(manifests, "Ingress", target, source, port)
    }


def allows(manifests: Manifests, direction: str, pod: Json, other: Json, port: int) -> bool:
    """Whether a pod's policies let it speak with the other; without any policy all is open."""
    of_pod = [
        policy["spec"]
        for policy in manifests.of("NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], labels(pod))
    ]
    word, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    entries = [entry for spec in of_pod for entry in spec.get(word, [])]
    return not of_pod or any(
        _reaches(entry.get(side), other) and port in [p["port"] for p in entry["ports"]]
        for entry in entries
    )


def _reaches(peers: list[Json] | None, other: Json) -> bool:
    if peers is None:
        return True
    return any(
        "namespaceSelector" not in peer and matches(peer["podSelector"], labels(other))
        for peer in peers
    )
