"""The client libraries, built once for all tests of them."""

from pathlib import Path

import pytest

from suite.sdk import Sdk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def clients() -> Sdk:
    """Both clients of this working tree."""
    made = Sdk(ROOT, print)
    made.build()
    return made
