"""Composition: settings in, one process with an SMTP and an HTTP listener out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mailcatcher import api
from mailcatcher.mailbox import Mailbox
from mailcatcher.settings import Settings
from mailcatcher.smtp import listen


def create_app(settings: Settings) -> FastAPI:
    """Build the application; both listeners open when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.mailbox = Mailbox()
        server = await listen(app.state.mailbox, settings.host, settings.smtp_port)
        yield
        server.close()

    app = FastAPI(title="Mail catcher", lifespan=lifespan)
    app.include_router(api.router)
    return app
