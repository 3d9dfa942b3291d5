"""Renders Envoy's configuration and runs Envoy until a signal ends it: what the image starts."""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

RENDER = Path(__file__).with_name("render.py")
OPTIONS = ("--disable-hot-restart", "--log-level", "warning", "--drain-time-s", "15")


def main() -> None:
    """Serve; on SIGTERM turn not ready, end connections with their answers, and then stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the configuration")
    parser.add_argument("--env", type=Path, required=True, help="settings, a JSON file")
    parser.add_argument(
        "--notice", type=float, default=5.0, help="seconds between turning not ready and closing"
    )
    arguments = parser.parse_args()
    rendering = [sys.executable, str(RENDER), "--out", str(arguments.out)]
    rendered = subprocess.run([*rendering, "--env", str(arguments.env)], check=False)  # noqa: S603
    if rendered.returncode:
        sys.exit(rendered.returncode)
    admin_port = json.loads(arguments.env.read_text())["admin_port"]
    envoy = subprocess.Popen(["envoy", "-c", arguments.out / "envoy.yaml", *OPTIONS])  # noqa: S603, S607

    def stop(_number: int, _frame: object) -> None:
        drain(f"http://127.0.0.1:{admin_port}/healthcheck/fail")
        time.sleep(arguments.notice)
        envoy.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.exit(max(envoy.wait(), 0))


def drain(url: str) -> None:
    """Start Envoy's drain: `/readyz` turns red, connections end when answered."""
    request = urllib.request.Request(url, method="POST")  # noqa: S310
    # An Envoy that is gone already has nothing to drain.
    with contextlib.suppress(OSError):
        urllib.request.urlopen(request, timeout=2).close()  # noqa: S310


if __name__ == "__main__":
    main()
