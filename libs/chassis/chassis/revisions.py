"""Where a service's migrations stand, and which is the newest: known without loading Alembic."""

from importlib.resources import files
from pathlib import Path


def folder_of(service: str) -> Path:
    """Where a service's migrations stand: inside its package when installed, else beside it."""
    package = Path(str(files(service)))
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def newest_revision(service: str) -> str:
    """The last migration there is in the code; they are numbered, one after another."""
    return max(file.name.partition("_")[0] for file in folder_of(service).glob("[0-9]*_*.py"))
