"""Routes for other services and the gateway: the key set, service tokens, the links of mails."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from chassis.auth import only_services
from chassis.db import Tx
from chassis.errors import NotFound, refuses
from chassis.ids import utcnow
from chassis.wire import Body, View
from contracts.notifications import MailLink
from identity import service
from identity.api.dependencies import (
    AppIssuer,
    AppSettings,
    EmailTokenKey,
    log_security_event,
)
from identity.clients import SERVICE_TOKEN_SECONDS
from identity.domain.credentials import BadClient, EmailTokenSpent, verify_client_secret
from identity.store import credentials

well_known = APIRouter(prefix="/.well-known")
router = APIRouter(prefix="/internal")


class KeyView(View):
    """A public key (RFC 7517); `kid` is its thumbprint (RFC 7638)."""

    kty: str
    crv: str
    x: str
    y: str
    kid: str
    alg: str
    use: str


class KeySetView(View):
    """The public keys of access and service tokens."""

    keys: list[KeyView]


class ClientBody(Body):
    """A service and its secret."""

    client_id: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z_-]+$")]
    client_secret: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[ -~]+$")]


class ServiceTokenView(View):
    """A token that identifies a service."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int


@well_known.get("/jwks.json")
async def key_set(issuer: AppIssuer, response: Response) -> KeySetView:
    """Return the public keys of tokens, the current one first."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return KeySetView(keys=[KeyView(**key.document) for key in issuer.public_keys])


@router.post("/token")
@refuses(BadClient)
async def service_token(body: ClientBody, tx: Tx, issuer: AppIssuer) -> ServiceTokenView:
    """Issue a token for calls between services."""
    client = await credentials.find_service_client(tx, body.client_id)
    if not verify_client_secret(client, body.client_secret):
        log_security_event("service client refused", client_id=body.client_id)
        raise BadClient
    return ServiceTokenView(
        access_token=issuer.service_token(body.client_id, utcnow()),
        expires_in=SERVICE_TOKEN_SECONDS,
    )


@router.post("/mail-links/{token_id}", dependencies=[Depends(only_services("notifications"))])
@refuses(NotFound, EmailTokenSpent)
async def mail_link(token_id: UUID, tx: Tx, settings: AppSettings, key: EmailTokenKey) -> MailLink:
    """Return the link of a mail that notifications writes; 409 once the link is spent."""
    token = await credentials.lock_email_token_by_id(tx, token_id)
    return service.build_link(settings, token, token.reveal(key, utcnow()))
