"""The mails people got, read at the mail catcher."""

import re
from dataclasses import dataclass
from typing import Any

import httpx

from shopfloor import ok, until
from suite.instance import Instance
from testkit.harness import PLAIN

TOKEN = re.compile(r"token=([A-Za-z0-9._~-]+)")


@dataclass
class Mailbox:
    """Everything that was mailed to one address."""

    instance: Instance
    address: str

    async def subjects(self) -> list[str]:
        """What is in it, oldest first."""
        return [mail["subject"] for mail in await self._mails()]

    async def expect(self, words: str) -> str:
        """The text of the one mail whose subject holds these words, once it is there."""

        async def there() -> Any:
            return [mail for mail in await self._mails() if words in mail["subject"]]

        (mail,) = await until(there)
        async with httpx.AsyncClient(
            base_url=self.instance.url("mailcatcher"), verify=PLAIN
        ) as http:
            return str(ok(await http.get(f"/messages/{mail['id']}"))["text"])

    async def token(self, words: str) -> str:
        """The token of the link in a mail."""
        found = TOKEN.search(await self.expect(words))
        assert found, f"no link with a token in “{words}”"
        return found[1]

    async def _mails(self) -> list[Any]:
        async with httpx.AsyncClient(
            base_url=self.instance.url("mailcatcher"), verify=PLAIN
        ) as http:
            found = ok(await http.get("/messages", params={"to": self.address}))
        return sorted(found, key=lambda mail: mail["received_at"])
