"""The settings of an instance; README.md describes them."""

import json
from pathlib import Path

from routes import PREFIXES, Json

# Where a service listens in its container.
PORT = 8080


def load(file: Path) -> Json:
    """Read the settings; without `services`, each runs on a host of its own name.

    Raises OSError and ValueError for what is no JSON object.
    """
    settings: Json = json.loads(file.read_text())
    if not isinstance(settings, dict):
        raise ValueError("the settings are not a JSON object")  # noqa: TRY004
    if "services" not in settings:
        settings["services"] = dict.fromkeys(PREFIXES, PORT)
        settings["hosts"] = {name: name for name in PREFIXES} | settings.get("hosts", {})
    return settings
