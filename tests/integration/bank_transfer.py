"""The customers' bank, which sends money to the provider by itself."""

import httpx

from invariants import InvariantChecker
from shopfloor import key, ok
from suite.instance import Instance
from testkit.harness import PLAIN


async def transfer(instance: Instance, books: InvariantChecker, order_id: str, amount: int) -> None:
    """Have money arrive for a bank transfer, as the bank would."""
    (row,) = await books.rows("sandbox", "select id from charges where reference = $1", order_id)
    secret = instance.environment.secrets["provider:key"]
    async with httpx.AsyncClient(base_url=instance.url("sandbox_provider"), verify=PLAIN) as bank:
        headers = {"Authorization": f"Bearer {secret}", **key()}
        body = {"amount": amount}
        ok(await bank.post(f"/sandbox/transfers/{row['id']}", json=body, headers=headers))
