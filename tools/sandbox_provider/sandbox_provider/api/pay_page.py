"""The page on which a customer confirms or declines a charge, as a bank or PayPal would show it."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader

from sandbox_provider import store
from sandbox_provider.domain import Charge
from sandbox_provider.provider import CurrentProvider
from sandbox_provider.views import ChargeId

router = APIRouter(prefix="/pay", include_in_schema=False)

_templates = Environment(loader=PackageLoader("sandbox_provider"), autoescape=True)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# ISO 4217: currencies whose minor unit is not a hundredth.
_MINOR_DIGITS: Final = dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK"), 0) | dict.fromkeys(
    ("KWD", "BHD", "OMR", "JOD", "TND"), 3
)


@router.get("/{charge_id}")
async def show(charge_id: ChargeId, provider: CurrentProvider) -> HTMLResponse:
    """Show the charge to confirm, or its result."""
    async with provider.database.transaction() as connection:
        charge = await store.get_charge(connection, charge_id)
    page = _templates.get_template("pay.html").render(charge=charge, price=_price(charge))
    return HTMLResponse(page, headers=_HEADERS)


@router.post("/{charge_id}/confirm")
async def confirm(charge_id: ChargeId, provider: CurrentProvider) -> RedirectResponse:
    """Confirm; a repeat changes nothing."""
    await provider.apply_step(charge_id, Charge.confirm)
    return RedirectResponse(f"/pay/{charge_id}", status_code=303)


@router.post("/{charge_id}/decline")
async def decline(charge_id: ChargeId, provider: CurrentProvider) -> RedirectResponse:
    """Decline; a repeat changes nothing."""
    await provider.apply_step(charge_id, Charge.decline)
    return RedirectResponse(f"/pay/{charge_id}", status_code=303)


def _price(charge: Charge) -> str:
    digits = _MINOR_DIGITS.get(charge.currency, 2)
    return f"{charge.amount / 10**digits:,.{digits}f} {charge.currency}"
