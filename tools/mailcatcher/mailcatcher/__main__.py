"""Runs the mail catcher: `python -m mailcatcher`."""

import logging

import uvicorn

from mailcatcher.main import Settings, create_app


def main() -> None:
    """Serve SMTP and HTTP until a signal stops the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # One line per SMTP command would drown the rest.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
