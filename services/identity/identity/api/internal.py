"""What other services and the gateway need: the key set, service tokens, the links of mails."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from chassis.auth import only_services
from chassis.db import Tx
from chassis.ids import utcnow
from chassis.wire import Body, View
from contracts.notifications import MailLink
from identity import mail, security
from identity.api.at_hand import EmailTokenKeyAtHand, IssuerAtHand, SettingsAtHand
from identity.domain.service_client import BadClient, ServiceClient, is_right
from identity.signing import SERVICE_TOKEN_SECONDS
from identity.store import email_tokens

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
    """The keys by which access and service tokens are checked."""

    keys: list[KeyView]


class ClientBody(Body):
    """A service and its secret."""

    client_id: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z_-]+$")]
    client_secret: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[ -~]+$")]


class ServiceTokenView(View):
    """A token that says which service its bearer is."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int


@well_known.get("/jwks.json")
async def key_set(issuer: IssuerAtHand, response: Response) -> KeySetView:
    """Read the public keys that tokens are signed with, the current one first."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return KeySetView(keys=[KeyView(**key.document) for key in issuer.public_keys])


@router.post("/token")
async def service_token(body: ClientBody, tx: Tx, issuer: IssuerAtHand) -> ServiceTokenView:
    """Get a token for calls between services."""
    client = await tx.get(ServiceClient, body.client_id)
    if not is_right(client, body.client_secret):
        security.record("service client refused", client_id=body.client_id)
        raise BadClient
    return ServiceTokenView(
        access_token=issuer.service_token(body.client_id, utcnow()),
        expires_in=SERVICE_TOKEN_SECONDS,
    )


@router.post("/mail-links/{token_id}", dependencies=[Depends(only_services("notifications"))])
async def mail_link(
    token_id: UUID, tx: Tx, settings: SettingsAtHand, key: EmailTokenKeyAtHand
) -> MailLink:
    """Reveal the link of a mail that is just being written; 409 once the link is spent."""
    token = await email_tokens.lock_email_token_by_id(tx, token_id)
    return mail.link_of(settings, token, token.reveal(key, utcnow()))
