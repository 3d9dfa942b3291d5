"""`cartwright seed`: create the sample shop through the public API."""

import asyncio
from typing import Annotated

import typer

from cartwright import output, passwords
from cartwright.output import Json
from cartwright.passwords import PasswordFile, Removed
from cartwright.refusals import Refusal


def seed(
    url: Annotated[
        str, typer.Option(prompt="Gateway", envvar="CARTWRIGHT_URL", help="The gateway's address.")
    ],
    email: Annotated[
        str,
        typer.Option(prompt="E-mail", envvar="CARTWRIGHT_EMAIL", help="An administrator's e-mail."),
    ],
    password_file: PasswordFile = "",
    _password: Removed = None,
    *,
    json: Json = False,
) -> None:
    """Fill an empty shop with sample products, people and terms; a repetition changes nothing.

    The administrator's password is read from --password-file, from CARTWRIGHT_PASSWORD, or from a
    prompt; those of the sample people are derived from it.
    """
    password = passwords.read(password_file, "CARTWRIGHT_PASSWORD", "Password")
    # Imported here, because every other command would load the runner's packages too.
    from suite.refusals import Refusal as ShopRefusal  # noqa: PLC0415
    from suite.shop.seeding import seed as fill  # noqa: PLC0415

    try:
        shop = asyncio.run(
            fill(url, email, password, lambda step: output.stderr.print(f"· {step}"))
        )
    except ShopRefusal as refusal:
        raise Refusal(str(refusal)) from None
    if json:
        logins = [{"role": each.role, "email": each.email} for each in shop.logins]
        output.as_json({"logins": logins, "products": len(shop.product_ids)})
        return
    table = output.table("role", "e-mail", "password", title="Logins")
    for each in shop.logins:
        table.add_row(each.role, each.email, each.password)
    output.show(table)
