"""The processes of the message path: `python -m suite.bench.messages tables|fill|speaker|listener`.

All are told by the environment where their database and broker are, as every service is.
"""

import asyncio
import sys

from chassis.settings import ServiceSettings, load
from suite.bench.messages import filling, listener, speaker
from suite.bench.messages.speaker import SpeakerSettings

if __name__ == "__main__":
    match sys.argv.pop(1):
        case "tables":
            asyncio.run(filling.make_tables())
        case "fill":
            asyncio.run(filling.fill())
        case "speaker":
            sys.exit(speaker.service.run(load(SpeakerSettings), "api"))
        case "listener":
            sys.exit(listener.service.run(load(ServiceSettings), "worker"))
        case unknown:
            sys.exit(f"there is no process {unknown}")
