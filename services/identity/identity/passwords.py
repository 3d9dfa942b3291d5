"""Passwords, hashed with Argon2id away from the event loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

Result = TypeVar("Result")


class Passwords:
    """Hashes and checks passwords on a few threads, so that memory and CPU stay bounded.

    `memory_kib` and `iterations` are the costs of one hash (RFC 9106); a login with a hash of other
    costs renews it.
    """

    def __init__(self, memory_kib: int, iterations: int) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "argon2")
        # An unknown user must cost what a known one costs: this hash is checked in their place.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Hash a password under a fresh salt."""
        return await self._away(lambda: self._hasher.hash(password))

    async def check(self, password: str, stored: str | None) -> bool:
        """Tell whether a password is the stored one; None stands for an unknown user."""
        right = await self._away(lambda: self._verify(stored or self._nobody, password))
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _away(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
