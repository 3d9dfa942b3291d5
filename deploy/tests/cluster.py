"""Plays rendered Kubernetes manifests on a Docker engine: pods, jobs, services, probes, limits, rights.

A pod is a holder container, whose network its containers share; a Service is an alias of every
holder it picks. Scheduling, admission, network policies, autoscalers and rolling updates are a real
cluster's work and are not played.
"""

import base64
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from composition import docker, inspected
from rendered import Json, Manifests, labels
from rules import matches

PROBED_FOR = 240.0
AT_ONCE = 4
HOLDER = "stand-in/python:3"
# What is pulled in a cluster, and what stands in for it here.
STAND_INS = {"postgres": "stand-in/postgres", "rabbitmq": "stand-in/rabbitmq"}


def image_of(name: str) -> str:
    """The image that is run for one that is named."""
    repository = name.rpartition(":")[0]
    return STAND_INS.get(repository, f"{repository}:test")


def bytes_of(quantity: str) -> str:
    """`256Mi` as Docker writes it."""
    return quantity.replace("Ki", "k").replace("Mi", "m").replace("Gi", "g")


@dataclass
class Pod:
    """One running pod."""

    name: str
    workload: Json
    address: str
    containers: list[str]


@dataclass
class Cluster:
    """Manifests with their Secrets, played in a network of their own.

    folder: where ConfigMaps and Secrets become files.
    """

    manifests: Manifests
    secrets: list[Json]
    folder: Path
    name: str = "cartwright-cluster"
    pods: list[Pod] = field(default_factory=list)

    def up(self) -> None:
        """Start everything as a cluster would; a job that fails is an error with its log."""
        docker("network", "create", self.name)
        self._write_files()
        for each in self.manifests.of("StatefulSet"):
            self._start(each)
        self._wait_ready(self.pods)
        jobs = self.manifests.of("Job")
        self._run_jobs([each for each in jobs if each["metadata"]["name"] == "provision"])
        migrations = [each for each in jobs if each["metadata"]["name"] != "provision"]
        with ThreadPoolExecutor(1) as beside:
            # As in a cluster: pods wait for their database in their init containers.
            migrating = beside.submit(self._run_jobs, migrations)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._start, self.manifests.of("Deployment")))
            migrating.result()
        self._wait_ready(self.pods)

    def down(self) -> None:
        """End and remove everything, a few at a time: all at once, an engine stood still."""
        for kind in ("container", "volume"):
            listed = ("ls", "--quiet", "--filter", f"label=cluster={self.name}")
            every = ("--all",) if kind == "container" else ()
            ids = docker(kind, *listed, *every).split()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(partial(docker, kind, "rm", "--force"), ids))
        subprocess.run(["docker", "network", "rm", self.name], capture_output=True, check=False)

    def pod(self, workload: str) -> Pod:
        """The one pod of a workload."""
        return next(pod for pod in self.pods if pod.workload["metadata"]["name"] == workload)

    # Pods.

    def _start(self, workload: Json) -> Pod:
        name = f"{self.name}-{workload['metadata']['name']}"
        aliases = [
            part
            for service in self.manifests.of("Service")
            if matches({"matchLabels": service["spec"]["selector"]}, labels(workload))
            for part in ("--network-alias", service["metadata"]["name"])
        ]
        mark = ("--label", f"cluster={self.name}")
        docker(
            "run", "--detach", "--name", name, *mark, "--network", self.name, *aliases,
            "--hostname", workload["metadata"]["name"], HOLDER, "sleep", "infinity",
        )  # fmt: skip
        address = inspected(name)["NetworkSettings"]["Networks"][self.name]["IPAddress"]
        pod = Pod(name, workload, address, [])
        self.pods.append(pod)
        for container in workload["spec"]["template"]["spec"].get("initContainers", []):
            docker("run", "--rm", *mark, *self._arguments(workload, container, pod))
        for container in workload["spec"]["template"]["spec"]["containers"]:
            own = f"{name}-{container['name']}"
            restart = ("--restart", "always") if workload["kind"] != "Job" else ()
            arguments = self._arguments(workload, container, pod)
            docker("run", "--detach", "--name", own, *mark, *restart, *arguments)
            pod.containers.append(own)
        return pod

    def _arguments(self, workload: Json, container: Json, pod: Pod) -> list[str]:
        """`docker run`'s arguments for a container of a pod."""
        spec = workload["spec"]["template"]["spec"]
        rights, own = spec["securityContext"], container["securityContext"]
        found = ["--network", f"container:{pod.name}"]
        found += ["--user", f"{rights['runAsUser']}:{rights['runAsGroup']}"]
        found += ["--memory", bytes_of(container["resources"]["limits"]["memory"])]
        found += ["--read-only"] if own["readOnlyRootFilesystem"] else []
        found += [p for each in own["capabilities"]["drop"] for p in ("--cap-drop", each)]
        if not own["allowPrivilegeEscalation"]:
            found += ["--security-opt", "no-new-privileges:true"]
        for name, value in self._variables(container):
            found += ["--env", f"{name}={value}"]
        for mount in container.get("volumeMounts", []):
            found += self._mount(workload, mount, rights["fsGroup"])
        # Kubernetes' args are Docker's command, and the entrypoint is the image's.
        return [*found, image_of(container["image"]), *container.get("args", [])]

    def _variables(self, container: Json) -> Iterator[tuple[str, str]]:
        for source in container.get("envFrom", []):
            ((kind, reference),) = source.items()
            yield from self._data(kind, reference["name"]).items()
        for each in container.get("env", []):
            if "value" in each:
                yield each["name"], each["value"]
            else:
                ((kind, reference),) = each["valueFrom"].items()
                yield each["name"], self._data(kind, reference["name"])[reference["key"]]

    def _data(self, kind: str, name: str) -> dict[str, str]:
        """What a ConfigMap or a Secret holds."""
        if kind.startswith("configMap"):
            return dict(self.manifests.named("ConfigMap", name).get("data") or {})
        secret = next(each for each in self.secrets if each["metadata"]["name"] == name)
        return {k: base64.b64decode(v).decode() for k, v in secret["data"].items()}

    def _mount(self, workload: Json, mount: Json, group: int) -> list[str]:
        name, path = mount["name"], mount["mountPath"]
        claims = workload["spec"].get("volumeClaimTemplates", [])
        if name in [claim["metadata"]["name"] for claim in claims]:
            return ["--volume", f"{self._claim(workload, name, group)}:{path}"]
        volumes = workload["spec"]["template"]["spec"]["volumes"]
        volume = next(each for each in volumes if each["name"] == name)
        if "emptyDir" in volume:
            size = bytes_of(volume["emptyDir"]["sizeLimit"])
            return ["--tmpfs", f"{path}:mode=1777,size={size}"]
        source = volume.get("configMap", {}).get("name") or volume["secret"]["secretName"]
        file = self.folder / source / mount.get("subPath", "")
        return ["--volume", f"{file}:{path}:ro"]

    def _claim(self, workload: Json, name: str, group: int) -> str:
        """A volume that belongs to the pod's group, as fsGroup makes it."""
        volume = f"{self.name}-{workload['metadata']['name']}-{name}"
        docker("volume", "create", "--label", f"cluster={self.name}", volume)
        owned = ("run", "--rm", "--volume", f"{volume}:/volume", HOLDER)
        docker(*owned, "chown", f"{group}:{group}", "/volume")
        docker(*owned, "chmod", "2770", "/volume")
        return volume

    def _write_files(self) -> None:
        """Write ConfigMaps and Secrets as files, readable by the pods' group alone."""
        for each in [*self.manifests.of("ConfigMap"), *self.secrets]:
            kind = "configMap" if each["kind"] == "ConfigMap" else "secret"
            folder = self.folder / each["metadata"]["name"]
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in self._data(kind, each["metadata"]["name"]).items():
                (folder / name).write_text(text)
                (folder / name).chmod(0o444 if kind == "configMap" else 0o440)
                if kind == "secret":
                    subprocess.run(["chgrp", "10001", str(folder / name)], check=True)

    # Jobs and probes.

    def _run_jobs(self, jobs: list[Json]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            pods = list(pool.map(self._start, jobs))
            codes = list(pool.map(lambda pod: docker("wait", *pod.containers), pods))
        for pod, code in zip(pods, codes, strict=True):
            log = subprocess.run(
                ["docker", "logs", *pod.containers], capture_output=True, text=True, check=False
            )
            assert code == "0", f"{pod.name}: {log.stdout}{log.stderr}"

    def _wait_ready(self, pods: list[Pod]) -> None:
        """Wait until every readiness probe is content, as a cluster would before it sends requests."""
        wait_limit = time.monotonic() + PROBED_FOR
        for pod in pods:
            for container, running in zip(
                pod.workload["spec"]["template"]["spec"]["containers"], pod.containers, strict=True
            ):
                probe = container.get("readinessProbe")
                while probe and not self.probed(pod, container, running, probe):
                    assert time.monotonic() < wait_limit, f"{running} is never ready: {probe}"
                    time.sleep(0.2)

    def probed(self, pod: Pod, container: Json, running: str, probe: dict[str, Any]) -> bool:
        """Whether a probe succeeds now, sent as the kubelet sends it."""
        if "exec" in probe:
            command = ["docker", "exec", running, *probe["exec"]["command"]]
            return not subprocess.run(command, capture_output=True, check=False).returncode
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        if "tcpSocket" in probe:
            import socket

            port = ports.get(probe["tcpSocket"]["port"], probe["tcpSocket"]["port"])
            try:
                socket.create_connection((pod.address, port), 2).close()
            except OSError:
                return False
            return True
        wanted = probe["httpGet"]
        url = f"http://{pod.address}:{ports.get(wanted['port'], wanted['port'])}{wanted['path']}"
        try:
            return httpx.get(url, timeout=3).status_code < 400
        except httpx.TransportError:
            return False
