"""Every way to run PostgreSQL limits how long a lost or frozen client holds its locks."""

import re

import pytest

from chassis import session_limits
from suite.postgres import SETTINGS
from suite.repository import ROOT

PLACES = (
    "deploy/docker-compose.yml",
    "deploy/k8s/components/servers/postgres.yaml",
    "deploy/k8s/components/postgres-operator/cluster.yaml",
)
LIMITS = {name: SETTINGS[name] for name in session_limits.ALL_SESSIONS}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LIMITS)
def test_a_deployment_limits_silence_as_the_native_one_does(place: str, name: str) -> None:
    found = re.findall(rf'{name}(?:=|: )"?(\w+)"?', (ROOT / place).read_text())
    assert found == [LIMITS[name]]
