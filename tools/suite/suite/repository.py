"""The working tree: its services, tools and programs."""

import sys
from pathlib import Path

from suite import service_list

ROOT = Path(__file__).resolve().parents[3]
POSTGRES_LOCK = Path("requirements/postgres.lock")


def services(root: Path) -> list[str]:
    """Return the names of all services, in the order of services.toml."""
    return list(service_list.load(root))


def has_tool(root: Path, name: str) -> bool:
    """Whether the tree contains the tool."""
    return (root / "tools" / name / "pyproject.toml").exists()


def programs() -> Path:
    """Return the folder of the environment's programs, `envoy` among them."""
    return Path(sys.executable).parent
