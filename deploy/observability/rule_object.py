"""Writes the alerts as the object that the Prometheus Operator reads."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy/observability/alerts.yaml"
OBJECT = ROOT / "deploy/k8s/components/observability/alerts.yaml"
HEAD = """\
# Written by deploy/observability/rule_object.py from alerts.yaml beside it.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cartwright
spec:
"""


def rendered() -> str:
    """The object: the file's groups, one level deeper, without its comments."""
    lines = ALERTS.read_text().splitlines()
    content = [line for line in lines if not line.lstrip().startswith("#")]
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in content)


if __name__ == "__main__":
    OBJECT.write_text(rendered())
