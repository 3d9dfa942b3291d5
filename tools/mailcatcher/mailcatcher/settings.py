"""What the mail catcher is told by its environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """`HOST` for both listeners, `SMTP_PORT` for mail, `PORT` for reading it over HTTP."""

    host: str = "127.0.0.1"
    smtp_port: Port = 1025
    port: Port = 8025
