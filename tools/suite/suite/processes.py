"""The processes of an instance: commands, tiers and health checks."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite import repository, service_list
from suite.environment import Environment
from suite.plan import Process, Tier
from suite.programs import attempt
from suite.refusals import Refusal
from suite.secrets import write_private
from suite.service_list import ServiceList

PACKED, SEPARATE = "packed", "separate"
ONE_PACK = "services"


def packs(listed: ServiceList, layout: str, cores: int) -> dict[str, list[str]]:
    """Return the services of each process, by its name.

    A process uses one core, so one core gets one process for all packs. Raises Refusal for an
    unknown layout.
    """
    alone = {name: [name] for name in listed.services}
    if layout == SEPARATE:
        return alone
    if layout != PACKED:
        raise Refusal(f"LAYOUT={layout}: there are `{PACKED}` and `{SEPARATE}`.")
    packed = {name: list(members) for name, members in listed.packs.items()}
    members = [member for each in packed.values() for member in each]
    if cores == 1 and members:
        packed = {ONE_PACK: members}
    return packed | {name: each for name, each in alone.items() if name not in members}


def servers(
    env: Environment, root: Path, definitions: dict[str, Any], report: Callable[[str], None]
) -> list[Process]:
    """Return PostgreSQL and RabbitMQ, with their folders created."""
    postgres = env.cluster.process(root / repository.POSTGRES_LOCK, report)
    return [postgres, *env.broker.processes(definitions, report)]


def applications(
    env: Environment, root: Path, instance: Path, layout: str = SEPARATE
) -> list[Process]:
    """Return the services, tools and gateway that the tree contains."""
    services = repository.services(root)
    table = [
        _service(env, root, name) if [name] == packed else _pack(env, root, name, packed)
        for name, packed in packs(service_list.read(root), layout, os.cpu_count() or 1).items()
    ]
    if repository.has_tool(root, "sandbox_provider"):
        table.append(_tool(env, root, "sandbox_provider", env.of_sandbox_provider()))
    if repository.has_tool(root, "mailcatcher"):
        table.append(_tool(env, root, "mailcatcher", env.of_mailcatcher()))
    if (root / "deploy/gateway/render.py").exists():
        table += _gateway(env, root, instance, env.of_gateway(services))
    return table


def _service(env: Environment, root: Path, name: str) -> Process:
    return Process(
        name=name,
        command=[sys.executable, "-m", name, "all"],
        cwd=str(root / "services" / name),
        services=[name],
        env=env.of_service(name),
        health=[f"{env.url(name)}/readyz"],
    )


def _pack(env: Environment, root: Path, name: str, services: list[str]) -> Process:
    return Process(
        name=name,
        command=[sys.executable, "-m", "chassis.pack", *services],
        cwd=str(root),
        services=services,
        env=env.of_pack(services),
        health=[f"{env.url(each)}/readyz" for each in services],
        grace=20.0,
    )


def _tool(env: Environment, root: Path, name: str, settings: dict[str, str]) -> Process:
    return Process(
        name=name,
        command=[sys.executable, "-m", name],
        cwd=str(root / "tools" / name),
        env=settings,
        health=[f"{env.url(name)}/readyz"],
    )


def _gateway(
    env: Environment, root: Path, instance: Path, settings: dict[str, Any]
) -> list[Process]:
    """Render Envoy's configuration and return Envoy and the documentation server."""
    folder = instance / "gateway"
    folder.mkdir(exist_ok=True)
    settings_file = instance / "gateway.json"
    write_private(settings_file, json.dumps(settings, indent=1))
    render = root / "deploy/gateway/render.py"
    known = [f"{name}={value}" for name, value in env.inherited().items()]
    rendering = ("env", *known, sys.executable, render, "--out", folder, "--env", settings_file)
    answer = attempt(*rendering)
    if answer.returncode:
        raise Refusal(f"the gateway's configuration could not be rendered:\n{answer.stderr}")
    docs_server = [str(root / "deploy/gateway/docs_server.py")]
    docs_server += ["--port", str(env.ports["docs"]), "--env", str(settings_file)]
    # Without hot restart Envoy uses no shared memory, in which instances could collide.
    options = [
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "--log-level",
        "warning",
        "--drain-time-s",
        "15",
        # A request appears in the log after one second instead of ten.
        "--file-flush-interval-msec",
        "1000",
    ]
    return [
        Process(
            name="docs",
            command=[sys.executable, *docs_server],
            cwd=str(root),
            env=env.inherited(),
            health=[f"tcp://127.0.0.1:{env.ports['docs']}"],
        ),
        Process(
            name="gateway",
            command=[
                str(repository.programs() / "envoy"),
                "-c",
                str(folder / "envoy.yaml"),
                *options,
            ],
            cwd=str(folder),
            tier=Tier.GATEWAY,
            env=env.inherited(),
            health=[f"http://127.0.0.1:{env.ports['gateway_admin']}/ready"],
        ),
    ]
