"""The configuration is one Envoy accepts, whatever the settings; wrong settings are named."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ENVOY, GATEWAY, gateway_settings, render
from .upstream import SERVICES

PORTS = {
    name: 20_000 + number for number, name in enumerate((*SERVICES, "docs", "sandbox", "mail"))
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rate_limit_per_address": 600, "rate_limit_per_principal": 300},
        {"docs_port": None, "sandbox_port": None, "mail_port": None, "cors_origins": []},
        {"services": {"identity": 20_000}},
        {"services": {"identity": [20_000, 20_001]}},
        {"hosts": {"identity": "identity", "docs": "docs", "gateway": "0.0.0.0"}},
        {"trusted_hops": 2, "collector_port": 4318, "hosts": {"collector": "collector"}},
        {"metrics_port": 20_100, "hosts": {"gateway": "0.0.0.0"}},
        {"seconds": {"headers": 0.5, "answer": 5}},
        {"token_issuer": 'https://shop.example/"quoted": yes # $issuer'},
    ],
    ids=str,
)
def test_envoy_accepts_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    configuration = render(tmp_path, gateway_settings(PORTS, **changes))
    command: list[str | Path] = [
        ENVOY,
        "--mode",
        "validate",
        "--disable-hot-restart",
        "-c",
        configuration.with_name("static.yaml"),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "eprecated" not in answer.stderr


def test_the_collector_of_the_environment_is_taken_unless_the_settings_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clusters(**changes: Any) -> str:
        configuration = render(tmp_path, gateway_settings(PORTS, **changes))
        return configuration.with_name("clusters.yaml").read_text()

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    assert "collector" not in clusters()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://spans.example:4319")
    assert "spans.example" in clusters()
    assert "4319" in clusters()
    named = clusters(collector_port=4320, hosts={"collector": "other.example"})
    assert "other.example" in named
    assert "spans.example" not in named


def test_without_a_list_every_service_is_at_its_own_name(tmp_path: Path) -> None:
    settings = gateway_settings(PORTS, hosts={"cart": "pack", "docs": "pages"})
    del settings["services"]
    file = render(tmp_path, settings).with_name("clusters.yaml")
    found = {
        cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        for cluster in json.loads(file.read_text())["resources"]
    }
    hosts = {
        name: endpoints[0]["endpoint"]["address"]["socket_address"]["address"]
        for name, endpoints in found.items()
    }
    assert {name: hosts[name] for name in SERVICES} == {
        name: "pack" if name == "cart" else name for name in SERVICES
    }
    assert hosts["docs"] == "pages"


@pytest.mark.parametrize("missing", ["gateway_port", "token_issuer", "rate_limit_per_address"])
def test_a_missing_setting_is_named(tmp_path: Path, missing: str) -> None:
    settings = gateway_settings(PORTS)
    del settings[missing]
    assert f"the setting '{missing}' is missing" in refusal(tmp_path, json.dumps(settings))


def test_a_service_without_routes_is_named(tmp_path: Path) -> None:
    settings = gateway_settings(PORTS, services={"identity": 1, "bakery": 2})
    assert "services without routes: bakery" in refusal(tmp_path, json.dumps(settings))


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    assert "settings.json" in refusal(tmp_path, "{")


def refusal(folder: Path, settings: str) -> str:
    """The error for settings that cannot be rendered: no traceback, and no file left."""
    (folder / "settings.json").write_text(settings)
    command: list[str | Path] = [sys.executable, GATEWAY / "render.py", "--out", folder]
    arguments: list[str | Path] = ["--env", folder / "settings.json"]
    answer = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert not (folder / "envoy.yaml").exists()
    return answer.stderr
