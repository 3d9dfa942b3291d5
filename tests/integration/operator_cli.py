"""The operator's command at work on the running suite, and the damage it is tried on."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from typer.testing import CliRunner

from cartwright.cli import app
from cartwright.refusals import Refusal
from suite.instance import Instance

# What the tool ends with when it does not know a command or an option.
WRONG_WORDS = 2


@dataclass
class OperatorCli:
    """An operator with the command, logged in by the environment."""

    url: str
    token: str
    # Passwords that a command reads, by environment variable.
    passwords: dict[str, str] = field(default_factory=dict)

    async def run(self, *line: str, code: int | None = 0) -> str:
        """What a command prints; it must end with this exit code, whatever it is when None."""
        return await asyncio.to_thread(self._run, line, code)

    async def json(self, *line: str, code: int = 0) -> Any:
        """The same, for machines."""
        return json.loads(await self.run(*line, "--json", code=code))

    async def findings(self, *line: str) -> Any:
        """What a reconciliation finds; its exit code is 1 when it finds anything."""
        return json.loads(await self.run("reconcile", *line, "--json", code=None))

    async def refused(self, *line: str) -> str:
        """What a command prints when it stops."""
        try:
            await self.run(*line)
        except Refusal as refusal:
            return str(refusal)
        raise AssertionError(f"{line} was not refused")

    async def understood(self, *line: str) -> None:
        """Type a command: it may find something (1), or be refused; a wrong word it may not be."""
        try:
            await asyncio.to_thread(self._run, line, None)
        except Refusal:
            return

    def _run(self, line: tuple[str, ...], code: int | None) -> str:
        login = {"CARTWRIGHT_URL": self.url, "CARTWRIGHT_TOKEN": self.token, "COLUMNS": "200"}
        done = CliRunner().invoke(app, list(line), env=login | self.passwords)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert code in (None, done.exit_code), f"{line}: {done.exit_code}\n{done.output}"
        assert done.exit_code != WRONG_WORDS or code == WRONG_WORDS, f"{line}: {done.output}"
        return done.stdout


async def damage(instance: Instance, database: str, *statements: str) -> None:
    """Change a database directly, without its triggers and keys."""
    connection = await asyncpg.connect(instance.dsn(database, "postgres"))
    try:
        async with connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            for statement in statements:
                await connection.execute(statement)
    finally:
        await connection.close()
