"""Routes of the payment methods the shop offers and of those a customer has saved."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import Field

from chassis.auth import SignedIn
from chassis.db import Database, Tx
from chassis.errors import Invalid, NotFound, Unavailable, refuses
from chassis.ids import new_id, utcnow
from chassis.pages import Page
from chassis.wire import Body, View
from payments.api.payments import NoCardNumber, PaymentProviders
from payments.clients.provider import OutcomeUnknown, ProviderRefused, SavedMethod
from payments.domain.payment_method import (
    MAX_SAVED_METHODS,
    SavedPaymentMethod,
    TooManySavedMethods,
)
from payments.store import payment_methods as store

router = APIRouter(prefix="/v1/payment-methods")
saved_router = APIRouter(prefix="/v1/me/payment-methods")


class TokenRefused(Invalid):
    """The provider does not accept this token."""

    code = "token_refused"


class OfferView(View):
    """A payment method the shop offers."""

    code: Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
    name: str


class NewSavedMethod(Body):
    """A payment method to save, by the provider's one-time token."""

    type: Literal["card", "paypal", "wallet"]
    token: Annotated[NoCardNumber, Field(min_length=1, max_length=100)]
    is_default: bool = False


class SavedMethodView(View):
    """A saved payment method; `expires_at` is `YYYY-MM`."""

    id: UUID
    type: Literal["card", "paypal", "wallet"]
    brand: str | None
    last_four: str | None
    paypal_email: str | None
    expires_at: str | None
    is_expired: bool
    is_default: bool
    created_at: datetime

    @classmethod
    def of(cls, method: SavedPaymentMethod) -> "SavedMethodView":
        """The view of a saved method as of today."""
        names = [name for name in cls.model_fields if name != "is_expired"]
        values = {name: getattr(method, name) for name in names}
        return cls(**values, is_expired=method.is_expired(utcnow()))


@router.get("")
async def list_payment_methods(
    tx: Tx,
    country: Annotated[
        str | None, Query(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2")
    ] = None,
) -> Page[OfferView]:
    """List the payment methods the shop offers."""
    offers = await store.list_offers(tx, country)
    return Page(items=[OfferView.model_validate(offer) for offer in offers])


@saved_router.get("")
async def list_saved_payment_methods(caller: SignedIn, tx: Tx) -> Page[SavedMethodView]:
    """List the caller's saved payment methods, the default first."""
    found = await store.list_saved(tx, caller.customer_id)
    return Page(items=[SavedMethodView.of(method) for method in found])


@saved_router.post("", status_code=201)
@refuses(TooManySavedMethods, TokenRefused)
async def save_payment_method(
    body: NewSavedMethod, caller: SignedIn, request: Request, providers: PaymentProviders
) -> SavedMethodView:
    """Save a payment method; the first one becomes the default."""
    provider = providers.online
    if provider.is_saved_method(body.token):
        raise TokenRefused
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _is_first_method(tx, caller.customer_id)
    try:
        stored = await provider.save_method(body.type, body.token)
    except ProviderRefused:
        raise TokenRefused from None
    except OutcomeUnknown:
        raise Unavailable("The payment provider is unavailable; try again soon.") from None
    async with database.transaction() as tx:
        method = await _add(tx, caller.customer_id, body, stored, provider.name)
    return SavedMethodView.of(method)


@saved_router.put("/{method_id}/default")
@refuses(NotFound)
async def set_default_payment_method(method_id: UUID, caller: SignedIn, tx: Tx) -> SavedMethodView:
    """Make a saved payment method the default."""
    await store.lock_owner(tx, caller.customer_id)
    method = await store.lock_saved(tx, method_id, caller.customer_id)
    if not method.is_default:
        await store.clear_default(tx, caller.customer_id)
        method.is_default = True
        await tx.flush()
    return SavedMethodView.of(method)


@saved_router.delete("/{method_id}", status_code=204)
@refuses(NotFound)
async def delete_payment_method(method_id: UUID, caller: SignedIn, tx: Tx) -> None:
    """Delete a saved payment method; it is deleted at the provider soon after."""
    await store.lock_owner(tx, caller.customer_id)
    method = await store.lock_saved(tx, method_id, caller.customer_id)
    method.is_default, method.deleted_at = False, utcnow()


async def _is_first_method(tx: Tx, customer_id: UUID) -> bool:
    """Whether the customer has none yet; raises TooManySavedMethods at the limit."""
    count = len(await store.list_saved(tx, customer_id))
    if count >= MAX_SAVED_METHODS:
        raise TooManySavedMethods
    return count == 0


async def _add(
    tx: Tx, customer_id: UUID, body: NewSavedMethod, stored: SavedMethod, provider: str
) -> SavedPaymentMethod:
    await store.lock_owner(tx, customer_id)
    is_first = await _is_first_method(tx, customer_id)
    if body.is_default:
        await store.clear_default(tx, customer_id)
    method = SavedPaymentMethod(
        id=new_id(),
        customer_id=customer_id,
        provider=provider,
        provider_token=stored.token,
        type=body.type,
        brand=stored.brand,
        last_four=stored.last_four,
        paypal_email=stored.paypal_email,
        expires_at=stored.expires_at,
        is_default=body.is_default or is_first,
    )
    tx.add(method)
    await tx.flush()
    await tx.refresh(method)
    return method
