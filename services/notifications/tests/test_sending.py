"""Mails go once, to a real SMTP server that refuses, dies and comes back."""

from .shop import Shop, a_notice


async def test_a_mail_goes_as_soon_as_it_is_ordered(shop: Shop) -> None:
    async with shop.sending():
        await shop.harness.hear(a_notice())
        (email,) = await shop.email_is("sent")

    (mail,) = shop.catcher.list()
    assert mail["to"] == ["ada@example.com"]
    assert mail["from"] == "shop@cartwright.example"
    assert mail["subject"] == "Your order 2026-000123 is confirmed"
    assert mail["message_id"] == shop.message_id(email.id)
    assert (email.attempts, email.payload, email.due_at, email.last_error) == (1, {}, None, None)
