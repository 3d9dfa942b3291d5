"""A minimal service: it migrates a table, writes to it, and answers health checks."""

import asyncio
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import asyncpg


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Discard the access log."""


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(os.environ[url].replace("+asyncpg", ""))
    await connection.execute(statement)
    await connection.close()


if os.environ.get("BROKEN"):
    sys.exit("the setting BROKEN forbids to start")
if sys.argv[1] == "migrate":
    role = urlsplit(os.environ["DATABASE_URL"]).username
    made = "create table if not exists starts (at timestamptz not null default now());"
    granted = f"grant select, insert on starts to {role}"
    asyncio.run(execute("MIGRATOR_DATABASE_URL", made + granted))
else:
    asyncio.run(execute("DATABASE_URL", "insert into starts default values"))
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Health)
    print("serving", flush=True)
    server.serve_forever()
