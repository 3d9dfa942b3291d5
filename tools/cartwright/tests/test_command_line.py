"""The command line explains itself."""

import subprocess
import sys


def test_help_names_the_purpose() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cartwright", "--help"], capture_output=True, text=True, check=True
    )
    assert "See what every order" in done.stdout
