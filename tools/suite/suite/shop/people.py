"""The people of the sample shop: one user of each role, who can log in."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from suite.shop.gateway import Gateway, ShopRefused, until
from suite.shop.sample import PEOPLE, SHOP, Row

DOMAIN = "cartwright.example"
TOKEN = re.compile(r"token=([A-Za-z0-9._~-]+)")


@dataclass(frozen=True)
class Login:
    """The role and credentials of a user."""

    role: str
    email: str
    password: str


def password_of(email: str, admin_password: str) -> str:
    """Derive a password for this suite alone: a fixed one would be a back door."""
    digest = hmac.new(admin_password.encode(), email.encode(), hashlib.sha256).digest()
    text = base64.b32encode(digest).decode().lower()
    return "-".join(text[start : start + 5] for start in range(0, 20, 5))


def logins_of(admin_email: str, admin_password: str) -> Sequence[Login]:
    """Return every login, the administrator's first."""
    emails = {person["role"]: f"{person['role']}@{DOMAIN}" for person in PEOPLE}
    others = [
        Login(role, email, password_of(email, admin_password)) for role, email in emails.items()
    ]
    return [Login("admin", admin_email, admin_password), *others]


async def ensure_people(admin: Gateway, admin_email: str, admin_password: str) -> Sequence[Login]:
    """Register missing users, grant their roles, and return every login."""
    logins = logins_of(admin_email, admin_password)
    for login, person in zip(logins[1:], PEOPLE, strict=True):
        user = await _registered(admin, login, person)
        if not user["email_verified"]:
            await _verify(admin, login)
        if login.role not in user["roles"]:
            await _grant(admin, user, login.role)
    await _ensure_address(admin, logins[-1])
    return logins


async def _find(admin: Gateway, email: str) -> dict[str, Any] | None:
    found = await admin.get("/v1/admin/users", email=email)
    user: dict[str, Any] | None = found["items"][0] if found["items"] else None
    return user


async def _registered(admin: Gateway, login: Login, person: Row) -> dict[str, Any]:
    found = await _find(admin, login.email)
    if found is not None:
        if not found["email_verified"]:
            await Gateway(admin.http).post("/v1/auth/verification", {"email": login.email})
        return found
    body = {
        "email": login.email,
        "password": login.password,
        "first_name": person["first_name"],
        "last_name": person["last_name"],
    }
    await Gateway(admin.http).post("/v1/auth/register", body)
    return await until(f"{login.email} is registered", lambda: _find(admin, login.email))


async def _verify(admin: Gateway, login: Login) -> None:
    """Verify an address by the link in its mail: an unverified account cannot be staff."""
    guest = Gateway(admin.http)

    async def mailed() -> str | None:
        for mail in await guest.get("/mail/messages", to=login.email):
            found = TOKEN.search((await guest.get(f"/mail/messages/{mail['id']}"))["text"])
            if found and "Confirm" in mail["subject"]:
                return found[1]
        return None

    token = await until(f"the link to verify {login.email} is in the mail catcher", mailed)
    await guest.post("/v1/auth/verify", {"token": token, "password": login.password})


async def _grant(admin: Gateway, user: dict[str, Any], role: str) -> None:
    path = f"/v1/admin/users/{user['id']}"
    etag = (await admin.request("GET", path)).headers["ETag"]
    roles = sorted({*user["roles"], role})
    await admin.request("PUT", f"{path}/roles", json={"roles": roles}, headers={"If-Match": etag})


async def _ensure_address(admin: Gateway, login: Login) -> None:
    """Add an address to the customer, unless the sample password was changed."""
    try:
        customer = await Gateway.logged_in(admin.http, login.email, login.password)
    except ShopRefused as refused:
        if refused.status == 401:  # noqa: PLR2004
            return
        raise
    path = "/v1/me/addresses"
    if not (await customer.get(path))["items"]:
        await customer.post(path, SHOP["home"])
