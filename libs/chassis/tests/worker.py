"""The sample service's consumer as a process of its own: `python worker.py DATABASE_URL BROKER_URL`.

Whenever it ends another takes its place, until the first is ended. The broker gives its connections
up after two seconds of silence.
"""

import asyncio
import os
import signal
import sys

from sample.service import bus

from chassis import broker
from chassis.background import consume
from chassis.db import Database
from chassis.messaging.consumer import Consumer


async def main(database_url: str, broker_url: str) -> None:
    """Consume until the process ends."""
    broker.HEARTBEAT = 1
    line = broker.Broker(broker_url, "sample")
    await consume(Consumer(bus, Database(database_url), line, (0.05, 0.1)))


def supervise() -> None:
    """Give birth to one consumer after another; print the process id of each."""
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            asyncio.run(main(*sys.argv[1:]))
        print("process", child, flush=True)  # noqa: T201

        def end(*_: object, child: int = child) -> None:
            os.kill(child, signal.SIGKILL)
            sys.exit()

        signal.signal(signal.SIGTERM, end)
        os.waitpid(child, 0)


if __name__ == "__main__":
    supervise()
