"""A service's migrations and the newest one, without importing Alembic."""

from importlib.resources import files
from pathlib import Path


def folder_of(service: str) -> Path:
    """The folder of a service's migrations: inside its package when installed, else beside it."""
    package = Path(str(files(service)))
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def newest_revision(service: str) -> str:
    """The newest migration in the code, by number."""
    return max(file.name.partition("_")[0] for file in folder_of(service).glob("[0-9]*_*.py"))
