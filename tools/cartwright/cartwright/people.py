"""Who is at the keyboard, and who else may be: login, logout, create-admin."""

from typing import Annotated, Any

import typer

from cartwright import output, session
from cartwright.output import Json
from cartwright.refusals import Refusal
from cartwright.shop import Shop, connected

EMAIL = typer.Option(prompt="E-mail", envvar="CARTWRIGHT_EMAIL", help="The e-mail of your login.")
ADMIN = "admin"


def login(
    url: Annotated[
        str,
        typer.Option(prompt="Gateway", envvar="CARTWRIGHT_URL", help="The gateway's address."),
    ],
    email: Annotated[str, EMAIL],
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            envvar="CARTWRIGHT_PASSWORD",
            help="Better typed when asked for than on the command line.",
        ),
    ],
) -> None:
    """Log in; the session is kept in a file that only you can read."""
    session.keep(session.log_in(url, email, password))
    output.say(f"Logged in to {url} as {email}. `cartwright doctor` is a good start.")


def logout() -> None:
    """End the session and forget it."""
    done = session.forget()
    output.say("Logged out." if done else "Nobody was logged in.")


def create_admin(
    email: Annotated[str, typer.Argument(help="Their e-mail.")],
    password: Annotated[
        str,
        typer.Option(
            prompt="Their first password",
            hide_input=True,
            confirmation_prompt=True,
            envvar="CARTWRIGHT_NEW_PASSWORD",
            help="At least 15 characters; better typed when asked for.",
        ),
    ],
    first_name: Annotated[str, typer.Option(help="Their first name.")] = "Shop",
    last_name: Annotated[str, typer.Option(help="Their last name.")] = "Administrator",
    *,
    json: Json = False,
) -> None:
    """Make an administrator of an account whose e-mail address is verified.

    An address without an account is registered first; verify it by the link that is mailed to it,
    and run the command again.

    The very first one is made by `python -m identity migrate`, from BOOTSTRAP_ADMIN_EMAIL and
    BOOTSTRAP_ADMIN_PASSWORD.
    """
    shop = connected()
    user = _find(shop, email)
    if user is None:
        names = {"first_name": first_name, "last_name": last_name}
        shop.post("/v1/auth/register", {"email": email, "password": password, **names})
        raise Refusal(
            f"{email} is registered and no administrator yet: verify the address by the link that"
            " is mailed to it, then run create-admin again."
        )
    path = f"/v1/admin/users/{user['id']}"
    answer = shop.request("GET", path)
    roles = sorted({*answer.json()["roles"], ADMIN})
    found = shop.request(
        "PUT", f"{path}/roles", json={"roles": roles}, headers={"If-Match": answer.headers["ETag"]}
    ).json()
    if json:
        output.as_json(found)
        return
    output.say(
        f"{email} (whose password stays as it was) is an administrator:"
        f" {output.listed(found['roles'])}."
    )


def _find(shop: Shop, email: str) -> dict[str, Any] | None:
    found = shop.get("/v1/admin/users", email=email)["items"]
    return found[0] if found else None
