"""Every way to run PostgreSQL limits how long a lost client holds locks, and logs no values."""

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
# Without these its log holds error details, failed statements and parameters, and so e-mail
# addresses and passwords.
WITHOUT_VALUES = {
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


def settings_of(place: str, name: str) -> list[str]:
    """The values that a file gives to a setting of PostgreSQL."""
    return re.findall(rf'{name}(?:=|: )"?(\w+)"?', (ROOT / place).read_text())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LIMITS)
def test_a_deployment_limits_silence_as_the_native_one_does(place: str, name: str) -> None:
    assert settings_of(place, name) == [LIMITS[name]]


@pytest.mark.parametrize("place", PLACES)
def test_a_deployment_logs_no_values(place: str) -> None:
    for name, value in WITHOUT_VALUES.items():
        assert settings_of(place, name) == [value]
        assert SETTINGS[name] == value
