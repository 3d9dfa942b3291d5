"""Runs the provider: `python -m sandbox_provider`."""

import logging

import uvicorn

from chassis import tracing
from sandbox_provider.faults import DroppableProtocol
from sandbox_provider.main import create_app
from sandbox_provider.settings import load_settings
from sandbox_provider.traced import Traced


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load_settings()
    share = settings.otel_traces_sampler_arg
    tracing.configure(settings.otel_exporter_otlp_endpoint or None, "sandbox-provider", share)
    uvicorn.run(
        Traced(create_app(settings)),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=DroppableProtocol,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    tracing.close()


if __name__ == "__main__":
    main()
