"""The HTTP server of a service's process, which stops when the service says so."""

from contextlib import nullcontext
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from chassis.settings import ServiceSettings


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when to stop."""

    def install_signal_handlers(self) -> None:
        """Nothing; see Service.run."""

    def capture_signals(self) -> Any:
        """Nothing; see Service.run."""
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
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
        )
    )
