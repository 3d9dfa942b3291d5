"""The link of a mail, requested from the service that owns it when the mail is written."""

import asyncio
from uuid import UUID

from pydantic import ValidationError

from chassis.client import Peers, PeerUnavailable
from chassis.errors import Problem, Refused
from contracts.notifications import MailLink
from notifications.domain import LINK_OWNERS
from notifications.domain.kind import Kind
from notifications.sending.post import NotTaken, Undeliverable
from notifications.settings import NotificationsSettings


class LinkOwnerAway(Exception):
    """The owner of the link is unavailable, which is no attempt at the mail."""


class Links:
    """Requests links over `/internal`; no message and no table holds one."""

    def __init__(self, peers: Peers, settings: NotificationsSettings) -> None:
        self._peers = peers
        self._settings = settings

    async def facts_of(self, kind: Kind, reference_id: UUID) -> dict[str, str]:
        """The facts `link` and `token` of a mail, none for a type that carries no link.

        Raises Undeliverable when the link is spent, NotTaken when the owner gives none otherwise,
        and LinkOwnerAway, after `smtp_timeout` seconds at the latest.
        """
        owner = LINK_OWNERS.get(kind)
        if owner is None:
            return {}
        url = f"{self._settings.url_of(owner)}/internal/mail-links/{reference_id}"
        try:
            async with asyncio.timeout(self._settings.smtp_timeout):
                answer = await self._peers.request("POST", url)
            return MailLink.model_validate(answer).model_dump(exclude_none=True)
        except (PeerUnavailable, TimeoutError) as error:
            raise LinkOwnerAway(f"{owner} is unavailable") from error
        except Problem as problem:
            is_spent = problem.status == Refused.status
            raise (Undeliverable if is_spent else NotTaken)(f"{owner}: {problem.code}") from problem
        except ValidationError:
            raise NotTaken(f"{owner} answered without a link") from None
