"""Accounts of operators: login, logout, create-admin."""

from typing import Annotated, Any

import typer

from cartwright import output, passwords, session
from cartwright.admin_api import AdminApi, connect
from cartwright.output import Json
from cartwright.passwords import PasswordFile, Removed
from cartwright.refusals import Refusal

EMAIL = typer.Option(prompt="E-mail", envvar="CARTWRIGHT_EMAIL", help="The e-mail of your login.")
ADMIN = "admin"


def login(
    url: Annotated[
        str,
        typer.Option(prompt="Gateway", envvar="CARTWRIGHT_URL", help="The gateway's address."),
    ],
    email: Annotated[str, EMAIL],
    password_file: PasswordFile = "",
    _password: Removed = None,
) -> None:
    """Log in; the session is stored in a file that only you can read.

    The password is read from --password-file, from CARTWRIGHT_PASSWORD, or from a prompt.
    """
    password = passwords.read(password_file, "CARTWRIGHT_PASSWORD", "Password")
    session.save(session.log_in(url, email, password))
    output.show(f"Logged in to {url} as {email}. `cartwright doctor` checks the suite.")


def logout() -> None:
    """Revoke the session and delete its file."""
    output.show("Logged out." if session.log_out() else "You were not logged in.")


def create_admin(
    email: Annotated[str, typer.Argument(help="Their e-mail.")],
    first_name: Annotated[str, typer.Option(help="Their first name.")] = "Shop",
    last_name: Annotated[str, typer.Option(help="Their last name.")] = "Administrator",
    password_file: PasswordFile = "",
    _password: Removed = None,
    *,
    json: Json = False,
) -> None:
    """Grant the administrator role to an account whose e-mail address is verified.

    An address without an account is registered first, with a password of at least 15 characters
    from --password-file, from CARTWRIGHT_NEW_PASSWORD, or from a prompt; verify it by the link in
    the mail, and run the command again.

    `python -m identity migrate` creates the first administrator, from BOOTSTRAP_ADMIN_EMAIL and
    BOOTSTRAP_ADMIN_PASSWORD.
    """
    api = connect()
    user = _find(api, email)
    if user is None:
        password = passwords.read(
            password_file, "CARTWRIGHT_NEW_PASSWORD", "Their first password", confirm=True
        )
        names = {"first_name": first_name, "last_name": last_name}
        api.post("/v1/auth/register", {"email": email, "password": password, **names})
        raise Refusal(
            f"{email} is registered and not yet an administrator: verify the address by the link"
            " in the mail, then run create-admin again."
        )
    path = f"/v1/admin/users/{user['id']}"
    answer = api.request("GET", path)
    roles = sorted({*answer.json()["roles"], ADMIN})
    found = api.request(
        "PUT", f"{path}/roles", json={"roles": roles}, headers={"If-Match": answer.headers["ETag"]}
    ).json()
    if json:
        output.as_json(found)
        return
    output.show(
        f"{email} (with an unchanged password) is an administrator:"
        f" {output.joined(found['roles'])}."
    )


def _find(api: AdminApi, email: str) -> dict[str, Any] | None:
    found = api.get("/v1/admin/users", email=email)["items"]
    return found[0] if found else None
