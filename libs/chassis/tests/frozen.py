"""A process that freezes or stays busy while it holds a lock, for `test_session_limits.py`.

`python frozen.py relay DATABASE_URL BROKER_URL SHARD` and `… migration DATABASE_URL freeze|sleep`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from chassis import migrations
from chassis.broker import Broker
from chassis.db import Database
from chassis.messaging.relay import Relay


def freeze() -> None:
    """Stop this process until another process continues it."""
    os.kill(os.getpid(), signal.SIGSTOP)


class FreezingRelay(Relay):
    """Freezes amid its first pass, and records the result of each pass; sweeps make one each."""

    async def _has_messages(self) -> bool:
        return True

    async def _send(
        self, connection: Any, channel: Any, rows: Sequence[Any]
    ) -> BaseException | None:
        if not hasattr(self, "thawed"):
            self.thawed = True
            freeze()
        return await super()._send(connection, channel, rows)

    async def _send_batch(self, shards: set[int]) -> int:
        try:
            done = await super()._send_batch(shards)
        except Exception as error:
            print(f"failed {error!r}", flush=True)  # noqa: T201
            raise
        print("passed", flush=True)  # noqa: T201
        return done


async def relay(url: str, broker_url: str, shard: int) -> None:
    """Relay until ended; the first pass is over one shard."""
    database, broker = Database(url), Broker(broker_url, "sample")
    await FreezingRelay(database, broker, "sample", _due={shard}).run()


def hold(connection: Connection, how: str) -> None:
    """Migrate nothing, for long, with the lock of migrations."""
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": migrations.LOCK})
    if how == "freeze":
        freeze()
    connection.execute(text("select pg_sleep(600)"))


if __name__ == "__main__":
    if sys.argv[1] == "relay":
        asyncio.run(relay(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    migrations._upgrade = lambda connection, service: hold(connection, sys.argv[3])  # noqa: ARG005
    asyncio.run(migrations.migrate("sample", sys.argv[2], None))
