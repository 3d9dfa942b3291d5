"""What the person who is signed in wants to be told, and how."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from chassis import etag
from chassis.auth import SignedIn
from chassis.db import Tx
from chassis.errors import Invalid
from chassis.wire import Body, View
from notifications.domain import OFFERED, Channel, Preferences, is_required
from notifications.domain.kind import Kind
from notifications.store import preferences as store

router = APIRouter(prefix="/v1/me/preferences")


class NamedTwice(Invalid):
    """Name each type and channel once."""

    code = "preference_named_twice"


class PreferenceBody(Body):
    """One type by one channel: on or off."""

    type: Kind
    channel: Channel
    enabled: bool


class PreferencesBody(Body):
    """What is wanted and what is not; what is not named is on."""

    preferences: Annotated[list[PreferenceBody], Field(max_length=len(OFFERED))]


class PreferenceView(View):
    """One type by one channel; what is required cannot be switched off."""

    type: Kind
    channel: Channel
    enabled: bool
    required: bool


class PreferencesView(View):
    """Every type by every channel it can go by."""

    preferences: list[PreferenceView]

    @classmethod
    def of(cls, preferences: Preferences) -> "PreferencesView":
        """Show one person's preferences."""
        return cls(
            preferences=[
                PreferenceView(
                    type=offer[0],
                    channel=offer[1],
                    enabled=preferences.wants(offer),
                    required=is_required(*offer),
                )
                for offer in OFFERED
            ]
        )


@router.get("")
async def get_preferences(caller: SignedIn, tx: Tx, response: Response) -> PreferencesView:
    """What you are told, and how."""
    preferences = await store.get_preferences(tx, caller.id)
    etag.set_header(response, preferences.version)
    return PreferencesView.of(preferences)


@router.put("")
async def change_preferences(
    body: PreferencesBody, expected: etag.IfMatch, caller: SignedIn, tx: Tx, response: Response
) -> PreferencesView:
    """Say what you want to be told; 409 `notification_required` for what must be told."""
    wanted = {(each.type, each.channel): each.enabled for each in body.preferences}
    if len(wanted) < len(body.preferences):
        raise NamedTwice
    preferences = await store.lock_preferences(tx, caller.id)
    etag.check(preferences.version, expected)
    preferences.switch_off([offer for offer, enabled in wanted.items() if not enabled])
    etag.set_header(response, preferences.version)
    return PreferencesView.of(preferences)
