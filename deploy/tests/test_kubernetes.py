"""The dev overlay as Kustomize renders it, played on the engine: a customer buys from its pods."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cluster import Cluster
from composition import PATIENT, buys, inspected
from rendered import labels, manifests, running

from shopfloor import Buyer, Staff, sign_in
from suite import kubernetes, repository, secrets, service_list
from suite.environment import ADMIN_EMAIL


@pytest.fixture(scope="module")
def password() -> dict[str, str]:
    """The administrator's, once the cluster is up."""
    return {}


@pytest.fixture(scope="module")
def cluster(engine_folder: Path, password: dict[str, str]) -> Iterator[Cluster]:
    """Every pod of the overlay, ready."""
    folder = engine_folder / "cluster-secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    entries = service_list.load(repository.ROOT).values()
    made = secrets.ensure(folder, entries)
    password["admin"] = made["admin:password"]
    manifest_text = kubernetes.manifests(made, entries, "cartwright")
    playing = Cluster(manifests("dev"), manifest_text, engine_folder / "cluster-files")
    playing.down()
    try:
        playing.up()
        yield playing
    finally:
        playing.down()


@pytest_asyncio.fixture
async def shop(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway's pod."""
    url = f"http://{cluster.pod('gateway').address}:8080"
    async with httpx.AsyncClient(base_url=url, timeout=PATIENT) as client:
        yield client


async def test_a_guest_buys_from_the_pods(
    shop: httpx.AsyncClient, password: dict[str, str]
) -> None:
    staff = Staff(shop, await sign_in(shop, ADMIN_EMAIL, password["admin"]))
    await staff.open_shop()
    product = await staff.sell(stock=3)
    order = await buys(Buyer(shop, staff), product)
    assert (await staff.ended(order["id"]))["stage"] == "completed"


def test_every_probe_of_every_pod_is_content(cluster: Cluster) -> None:
    probed = 0
    for pod in cluster.pods:
        for container, name in zip(running(pod.workload), pod.containers, strict=True):
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                if kind in container:
                    probed += 1
                    assert cluster.probed(pod, container, name, container[kind]), name
    assert probed > 40


def test_a_wrong_probe_is_seen(cluster: Cluster) -> None:
    pod = cluster.pod("orders-api")
    (container,) = running(pod.workload)
    (name,) = pod.containers
    for wrong in ({"path": "/healthz", "port": "http"}, {"path": "/readyz", "port": 8081}):
        assert not cluster.probed(pod, container, name, {"httpGet": wrong})


def test_no_pod_was_ended_for_its_memory_or_by_itself(cluster: Cluster) -> None:
    for pod in cluster.pods:
        for name in pod.containers:
            found = inspected(name)
            assert not found["State"]["OOMKilled"], name
            if labels(pod.workload)["app.kubernetes.io/component"] not in ("migrate", "provision"):
                assert found["State"]["Running"], name
                assert found["RestartCount"] == 0, name
