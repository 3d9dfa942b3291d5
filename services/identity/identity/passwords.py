"""Passwords, judged and hashed away from the event loop, on few threads."""

import asyncio
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.errors import Unavailable
from identity.domain.password import check_password

Result = TypeVar("Result")
MOST_WAITING = 100


class Passwords:
    """Judges, hashes and checks passwords on a few threads, so that memory and CPU stay bounded.

    `memory_kib` and `iterations` are the costs of one hash (RFC 9106); a login with a hash of other
    costs renews it.
    """

    def __init__(self, memory_kib: int, iterations: int) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._argon2 = _Threads(os.cpu_count() or 1, "argon2")
        # zxcvbn is Python: more threads would only take turns with the event loop more often.
        self._zxcvbn = _Threads(1, "zxcvbn")
        # An unknown user must cost what a known one costs: this hash is checked in their place.
        self._nobody = self._hasher.hash("nobody has this password")

    async def judge(self, password: str, known: Collection[str]) -> None:
        """Raise PasswordTooShort or PasswordTooCommon; `known` as in `check_password`."""
        await self._zxcvbn.run(lambda: check_password(password, known))

    async def hash(self, password: str) -> str:
        """Hash a password under a fresh salt."""
        return await self._argon2.run(lambda: self._hasher.hash(password))

    async def check(self, password: str, stored: str | None) -> bool:
        """Tell whether a password is the stored one; None stands for an unknown user."""
        right = await self._argon2.run(lambda: self._verify(stored or self._nobody, password))
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads go."""
        self._argon2.close()
        self._zxcvbn.close()

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


class _Threads:
    """A few threads with a bounded queue before them."""

    def __init__(self, most: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(most, name)
        self._waiting = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run work on a thread; raises Unavailable at once when too much is waiting already."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many passwords are being checked; try again soon.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
