"""Service clients: our own services, each with a secret by which it gets its tokens."""

import hmac

from sqlalchemy import String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.errors import Unauthenticated
from chassis.model import Stamped
from identity.domain import Base, secret

NOBODY = secret.hashed("no service has this secret")


class BadClient(Unauthenticated):
    """The service is not known, or its secret is not right."""

    code = "bad_client"


class ServiceClient(Stamped, Base):
    """A service that may call others. Its secret is random, so a plain hash keeps it."""

    __tablename__ = "service_clients"

    id: Mapped[str] = mapped_column(String(50), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(50)))


def is_right(client: ServiceClient | None, offered: str) -> bool:
    """Tell whether the offered secret is the client's, in the same time for an unknown client."""
    stored = client.secret_hash if client is not None else NOBODY
    return hmac.compare_digest(secret.hashed(offered), stored) and client is not None
