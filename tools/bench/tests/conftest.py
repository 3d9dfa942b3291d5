"""Servers for the message path: PostgreSQL and RabbitMQ of an instance without services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from suite.instance import Instance


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    instance = Instance(Path(tmp_path_factory.mktemp("servers")), "test")
    instance.start(servers_only=True)
    yield instance
    instance.wipe()
