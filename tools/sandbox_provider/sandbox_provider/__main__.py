"""Runs the provider: `python -m sandbox_provider`."""

import logging

import uvicorn

from sandbox_provider.faults import DroppableProtocol
from sandbox_provider.main import create_app
from sandbox_provider.settings import load_settings


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load_settings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=DroppableProtocol,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
