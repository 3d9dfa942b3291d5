"""Where Prometheus looks for samples in the cluster, held against where it looks in compose."""

from rendered import Json, Manifests, labels, running
from rules import matches

# The broker's nodes are made by its operator, which calls the port of the plugin so.
OF_AN_OPERATOR = {"rabbitmq": {"prometheus": 15692}}
WATCHING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def disagreements(found: Manifests, prometheus: Json) -> list[str]:
    """Jobs of prometheus.yaml that the cluster's PodMonitors do not look for alike."""
    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    monitors = {each["metadata"]["name"]: each["spec"] for each in found.of("PodMonitor")}
    faults = [f"only one side knows {name}" for name in sorted(set(jobs) ^ set(monitors))]
    for name in sorted(set(jobs) & set(monitors)):
        job, (endpoint,) = jobs[name], monitors[name]["podMetricsEndpoints"]
        faults += [
            f"{name}: {what} is {theirs} in the cluster and {ours} in compose"
            for what, theirs, ours in (
                ("the path", endpoint["path"], job.get("metrics_path", "/metrics")),
                ("parameters", endpoint.get("params"), job.get("params")),
                ("the interval", endpoint["interval"], prometheus["global"]["scrape_interval"]),
                ("the job", renamed(endpoint).get("job"), name),
            )
            if theirs != ours
        ]
        faults += unheard(found, name, monitors[name]["selector"], endpoint["port"], ports_of(job))
    return faults


def renamed(endpoint: Json) -> dict[str, str]:
    """The labels that every sample of an endpoint is given as they stand."""
    given = endpoint.get("relabelings", [])
    return {each["targetLabel"]: each["replacement"] for each in given if "replacement" in each}


def ports_of(job: Json) -> set[int]:
    """The ports that a job of prometheus.yaml scrapes."""
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    return {int(target.rpartition(":")[2]) for target in targets}


def unheard(
    found: Manifests, name: str, selector: Json, port: str, expected: set[int]
) -> list[str]:
    """Pods that a monitor picks and that do not listen on the expected port, or are not let ask."""
    picked = {
        workload["metadata"]["name"]: (
            {p["name"]: p["containerPort"] for c in running(workload) for p in c.get("ports", [])},
            labels(workload),
        )
        for workload in found.of("Deployment", "StatefulSet")
        if matches(selector, labels(workload))
    }
    if name in OF_AN_OPERATOR:
        picked[name] = OF_AN_OPERATOR[name], selector["matchLabels"]
    faults = [] if picked else [f"{name}: no pod is picked"]
    for pod, (ports, own) in picked.items():
        if {ports.get(port)} != expected:
            faults.append(f"{name}: {pod} has {port} on {ports.get(port)}, not {expected}")
        if not expected <= let_in(found, own):
            faults.append(f"{name}: no policy lets {expected} of {pod} be scraped")
    return faults


def let_in(found: Manifests, own: dict[str, str]) -> set[int]:
    """The ports of a pod that Prometheus' namespace may reach."""
    return {
        port["port"]
        for policy in found.of("NetworkPolicy")
        if matches(policy["spec"]["podSelector"], own)
        for entry in policy["spec"].get("ingress", [])
        if WATCHING in entry.get("from", [])
        for port in entry["ports"]
    }
