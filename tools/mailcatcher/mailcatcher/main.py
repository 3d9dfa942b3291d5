"""Settings and composition: one process with an SMTP and an HTTP listener."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI
from pydantic import Field
from pydantic_settings import BaseSettings

from mailcatcher import api
from mailcatcher.mailbox import Mailbox
from mailcatcher.smtp import listen

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """`HOST` of both listeners, `SMTP_PORT` for mail, `PORT` for reading it over HTTP."""

    host: str = "127.0.0.1"
    smtp_port: Port = 1025
    port: Port = 8025


def create_app(settings: Settings) -> FastAPI:
    """The application; its lifespan opens and closes the SMTP listener."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.mailbox = Mailbox()
        server = await listen(app.state.mailbox, settings.host, settings.smtp_port)
        yield
        server.close()

    app = FastAPI(title="Mail catcher", lifespan=lifespan)
    app.include_router(api.router)
    return app
