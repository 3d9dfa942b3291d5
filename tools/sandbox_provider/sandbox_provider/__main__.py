"""Runs the provider: `python -m sandbox_provider`."""

import logging

import uvicorn

from chassis import otlp, tracing
from sandbox_provider.faults import DroppableProtocol
from sandbox_provider.main import Traced, create_app
from sandbox_provider.settings import load_settings


def main() -> None:
    """Serve until the process is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load_settings()
    provider = None
    if endpoint := settings.otel_exporter_otlp_endpoint:
        ratio = settings.otel_traces_sampler_arg
        provider = otlp.provider_of("sandbox-provider", endpoint, ratio)
        tracing.tracer.set(provider.get_tracer("cartwright.sandbox"))
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
    if provider is not None:
        otlp.close(provider)


if __name__ == "__main__":
    main()
