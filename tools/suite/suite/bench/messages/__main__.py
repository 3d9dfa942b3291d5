"""The processes of the message path: `python -m suite.bench.messages tables|fill|speaker|listener`.

All are told by the environment where their database and broker are, as every service is.
"""

import asyncio
import sys

from chassis.settings import ServiceSettings, load
from suite.bench.messages import consumer, filling, producer
from suite.bench.messages.producer import SpeakerSettings

if __name__ == "__main__":
    match sys.argv.pop(1):
        case "tables":
            asyncio.run(filling.make_tables())
        case "fill":
            asyncio.run(filling.fill())
        case "producer":
            sys.exit(producer.service.run(load(SpeakerSettings), "api"))
        case "consumer":
            sys.exit(consumer.service.run(load(ServiceSettings), "worker"))
        case unknown:
            sys.exit(f"there is no process {unknown}")
