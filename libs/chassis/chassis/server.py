"""The HTTP server of a service, which the service stops."""

import asyncio
import socket
from contextlib import nullcontext, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from chassis.settings import ServiceSettings


class PortUnavailable(Exception):
    """The server's address cannot be bound; uvicorn has logged why."""


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Raises PortUnavailable where uvicorn would end the process."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise PortUnavailable(f"{self.config.host}:{self.config.port}") from None

    async def main_loop(self) -> None:
        """Renew the Date header each second until `stop` is called.

        uvicorn's own loop polls ten times a second, which costs CPU in every idle process.
        """
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    def stop(self) -> None:
        """Finish the requests in flight and accept no others."""
        self.should_exit = True
        self._stopping.set()

    def install_signal_handlers(self) -> None:
        """Nothing; the process has its own."""

    def capture_signals(self) -> Any:
        """Nothing; the process has its own."""
        return nullcontext()


def server_of(app: ASGIApp, settings: ServiceSettings) -> Server:
    """The server of an application, not yet serving."""
    return Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            # client_address.py reads the header that only the gateway writes.
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
        )
    )
