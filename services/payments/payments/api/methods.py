"""Routes of the kinds of payment offered, and of the means a customer keeps."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import Field

from chassis.auth import SignedIn
from chassis.db import Database, Tx
from chassis.errors import Invalid, Unavailable
from chassis.ids import new_id, utcnow
from chassis.pages import Page
from chassis.wire import Body, View
from payments.api.views import NoCardNumber
from payments.bus import providers
from payments.domain.saved_method import MOST_KEPT, SavedPaymentMethod, TooManySavedMethods
from payments.providers.port import OutcomeUnknown, ProviderRefused, SavedMethod
from payments.store import saved_methods

router = APIRouter(prefix="/v1/payment-methods")
saved = APIRouter(prefix="/v1/me/payment-methods")


class TokenRefused(Invalid):
    """The provider does not accept this token."""

    code = "token_refused"


class OfferView(View):
    """A kind of payment the shop offers."""

    code: Literal["card", "paypal", "wallet", "cod", "bank_transfer"]
    name: str


class NewSavedMethod(Body):
    """A means of payment to keep, by the provider's one-time token of it."""

    type: Literal["card", "paypal", "wallet"]
    token: Annotated[NoCardNumber, Field(min_length=1, max_length=100)]
    is_default: bool = False


class SavedMethodView(View):
    """A kept means of payment; `expires_at` is `YYYY-MM`."""

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
    def show(cls, method: SavedPaymentMethod) -> "SavedMethodView":
        """Show a kept method as it stands today."""
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
    """The kinds of payment the shop offers."""
    offers = await saved_methods.list_offers(tx, country)
    return Page(items=[OfferView.model_validate(offer) for offer in offers])


@saved.get("")
async def list_saved_payment_methods(caller: SignedIn, tx: Tx) -> Page[SavedMethodView]:
    """The caller's kept means of payment, the default first."""
    found = await saved_methods.list_saved(tx, caller.customer_id)
    return Page(items=[SavedMethodView.show(method) for method in found])


@saved.post("", status_code=201)
async def save_payment_method(
    body: NewSavedMethod, caller: SignedIn, request: Request
) -> SavedMethodView:
    """Keep a means of payment; the first one becomes the default."""
    if providers().online.is_saved_method(body.token):
        raise TokenRefused
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _check_room(tx, caller.customer_id)
    try:
        kept = await providers().online.save_method(body.type, body.token)
    except ProviderRefused:
        raise TokenRefused from None
    except OutcomeUnknown:
        raise Unavailable("The payment provider is away; try again soon.") from None
    async with database.transaction() as tx:
        method = await _keep(tx, caller.customer_id, body, kept)
    return SavedMethodView.show(method)


@saved.put("/{method_id}/default")
async def set_default_payment_method(method_id: UUID, caller: SignedIn, tx: Tx) -> SavedMethodView:
    """Make a kept means of payment the default one."""
    await saved_methods.lock_owner(tx, caller.customer_id)
    method = await saved_methods.lock_saved(tx, method_id, caller.customer_id)
    if not method.is_default:
        await saved_methods.clear_default(tx, caller.customer_id)
        method.is_default = True
        await tx.flush()
    return SavedMethodView.show(method)


@saved.delete("/{method_id}", status_code=204)
async def delete_payment_method(method_id: UUID, caller: SignedIn, tx: Tx) -> None:
    """Delete a kept means of payment; the provider forgets it too, soon after."""
    await saved_methods.lock_owner(tx, caller.customer_id)
    method = await saved_methods.lock_saved(tx, method_id, caller.customer_id)
    method.is_default, method.deleted_at = False, utcnow()


async def _check_room(tx: Tx, customer_id: UUID) -> bool:
    """Whether the customer has none yet; raises TooManySavedMethods."""
    count = len(await saved_methods.list_saved(tx, customer_id))
    if count >= MOST_KEPT:
        raise TooManySavedMethods
    return count == 0


async def _keep(
    tx: Tx, customer_id: UUID, body: NewSavedMethod, kept: SavedMethod
) -> SavedPaymentMethod:
    await saved_methods.lock_owner(tx, customer_id)
    is_first = await _check_room(tx, customer_id)
    if body.is_default:
        await saved_methods.clear_default(tx, customer_id)
    method = SavedPaymentMethod(
        id=new_id(),
        customer_id=customer_id,
        provider=providers().online.name,
        provider_token=kept.token,
        type=body.type,
        brand=kept.brand,
        last_four=kept.last_four,
        paypal_email=kept.paypal_email,
        expires_at=kept.expires_at,
        is_default=body.is_default or is_first,
    )
    tx.add(method)
    await tx.flush()
    await tx.refresh(method)
    return method
