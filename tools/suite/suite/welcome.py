"""What `make up` says at its end: where everything is, and who may do everything."""

from rich.console import Console

from suite.environment import ADMIN_EMAIL


def tell(console: Console, address: str, password: str, servers: str) -> None:
    """Print the addresses and the administrator's login; `servers` is a line of its own or none."""
    console.print(f"\nThe shop is up:      {address}")
    console.print(f"API documentation:   {address}/docs")
    console.print(f"Mail catcher:        {address}/mail/")
    console.print(f"{servers}Administrator:       {ADMIN_EMAIL} / {password}")
    console.print(
        "\n`make status` shows what runs, `make logs S=orders` follows it, `make down` ends it."
    )
