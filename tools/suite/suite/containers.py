"""PostgreSQL and RabbitMQ in containers, for tests."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
from docker.errors import DockerException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from provision import broker
from suite import ready, repository, secrets, service_list, topology
from suite.plan import Process

POSTGRES = "postgres:17"
RABBITMQ = "rabbitmq:4-management"
DEADLINE = 120.0


def are_available(report: Callable[[str], None]) -> bool:
    """Whether an engine answers and has both images, or can pull them.

    A client alone is not enough: the engine's API must answer.
    """
    try:
        with contextlib.closing(docker.from_env(timeout=5)) as engine:
            engine.ping()
            for image in (POSTGRES, RABBITMQ):
                if not engine.images.list(image):
                    report(f"pulling the image {image}")
                    engine.images.pull(image)
    except (DockerException, OSError):
        return False
    return True


@contextlib.contextmanager
def running(root: Path, folder: Path, report: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Run both for the context; yields the environment variables of tests."""
    services = repository.services(root)
    known = secrets.ensure(folder, service_list.load(root).values())
    # Every container ends with its context; the reaper container is not needed.
    testcontainers_config.ryuk_disabled = True
    postgres = DockerContainer(POSTGRES).with_exposed_ports(5432)
    postgres.with_env("POSTGRES_PASSWORD", known["database:postgres"])
    rabbitmq = DockerContainer(RABBITMQ).with_exposed_ports(5672, 15672)
    rabbitmq.with_env("RABBITMQ_DEFAULT_USER", "admin")
    rabbitmq.with_env("RABBITMQ_DEFAULT_PASS", known["broker:admin"])
    rabbitmq.with_env("RABBITMQ_DEFAULT_VHOST", broker.VHOST)
    report(f"starting {POSTGRES} and {RABBITMQ} in containers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with postgres, rabbitmq:
            found = _addresses(postgres, rabbitmq, known)
            _wait_ready(found, folder, report)
            wanted = topology.with_users(root, services, known)
            broker.apply_definitions(found["TEST_BROKER_API"], wanted)
            yield found


def _addresses(
    postgres: DockerContainer, rabbitmq: DockerContainer, known: secrets.Secrets
) -> dict[str, str]:
    def at(container: DockerContainer, port: int) -> str:
        return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"

    admin = f"admin:{known['broker:admin']}"
    superuser = f"postgres:{known['database:postgres']}"
    return {
        "TEST_POSTGRES_URL": f"postgresql://{superuser}@{at(postgres, 5432)}/postgres",
        "TEST_BROKER_URL": f"amqp://{admin}@{at(rabbitmq, 5672)}/{broker.VHOST}",
        "TEST_BROKER_API": f"http://{admin}@{at(rabbitmq, 15672)}",
    }


def _wait_ready(found: dict[str, str], folder: Path, report: Callable[[str], None]) -> None:
    listener = f"{found['TEST_BROKER_API']}/api/health/checks/port-listener/5672"
    servers = [
        Process("postgres", [], "", health=[found["TEST_POSTGRES_URL"]]),
        Process("rabbitmq", [], "", health=[listener]),
    ]
    ready.wait(servers, folder / "logs", DEADLINE, report, dict)
