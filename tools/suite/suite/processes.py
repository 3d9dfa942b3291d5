"""The processes of an instance: commands, tiers and health checks."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite import repository
from suite.environment import Environment
from suite.plan import Process, Tier
from suite.programs import attempt
from suite.refusals import Refusal
from suite.secrets import write_private


def servers(
    env: Environment, root: Path, definitions: dict[str, Any], report: Callable[[str], None]
) -> list[Process]:
    """Return PostgreSQL and RabbitMQ, with their folders created."""
    postgres = env.cluster.process(root / repository.POSTGRES_LOCK, report)
    return [postgres, *env.broker.processes(definitions, report)]


def applications(env: Environment, root: Path, instance: Path) -> list[Process]:
    """Return the services, tools and gateway that the tree contains."""
    services = repository.services(root)
    table = [_service(env, root, name) for name in services]
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
