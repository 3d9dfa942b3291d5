"""Templates: every type in every language, with any facts."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import UUID

import pytest

from notifications.domain.email import MimeMessage
from notifications.domain.notification import TYPES
from notifications.domain.templates import (
    LOCALES,
    NumberFormat,
    choose_locale,
    format_amount,
    load_language,
    render_email,
    render_headline,
)

FACTS: dict[str, Any] = {
    "name": "Ada Lovelace",
    "order_number": "2026-000123",
    "total": {"amount": 129900, "currency": "EUR"},
    "refund": {"amount": 500, "currency": "JPY"},
    "items": "2 x Espresso cup\n1 x Kettle <b>& Co</b>",
    "carrier": "Sandbox Parcels",
    "tracking_number": "SBX-1",
    "reason": "out_of_stock",
    "link": "https://shop.example/orders/1?a=1&b=2",
    "token": "tok",
}
ENGLISH, GERMAN = (
    NumberFormat(decimal=".", group=",", is_currency_first=True),
    NumberFormat(decimal=",", group=".", is_currency_first=False),
)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("facts", [{}, FACTS, dict.fromkeys(FACTS, "")])
def test_every_type_renders_with_and_without_facts(
    kind: Any, locale: str, facts: dict[str, Any]
) -> None:
    headline = render_headline(kind, locale, facts)
    body = render_email(kind, locale, headline.title, facts, "Cartwright")

    for text in (headline.title, headline.content, body.text, body.html):
        assert text
        assert "None" not in text
        assert "{{" not in text
    for text in (headline.title, headline.content, body.text):
        assert not re.search(r"\w  | [.,!?]|:\s*$", text, re.MULTILINE) or "://" in text
    assert headline.content in body.text


@pytest.mark.parametrize(
    ("locale", "part"), [("en", "A parcel of your"), ("de", "Ein Paket Ihrer")]
)
def test_the_order_is_called_delivered_only_with_its_last_parcel(locale: str, part: str) -> None:
    one = render_headline("order_delivered", locale, FACTS | {"open_parcels": 1})
    last = render_headline("order_delivered", locale, FACTS)
    for text in (one.title, one.content):
        assert text.startswith(part)
    assert part not in last.title + last.content


def test_every_language_has_the_same_texts() -> None:
    for locale in LOCALES:
        assert set(load_language(locale).types) == set(TYPES)
        assert set(load_language(locale).labels) == set(load_language("en").labels)
        assert set(load_language(locale).reasons) == set(load_language("en").reasons)


@pytest.mark.parametrize(
    ("amount", "currency", "style", "expected"),
    [
        (129900, "USD", ENGLISH, "$1,299.00"),
        (1, "USD", ENGLISH, "$0.01"),
        (-250, "GBP", ENGLISH, "-£2.50"),
        (1299, "JPY", ENGLISH, "¥1,299"),
        (1299, "KWD", ENGLISH, "KWD\N{NO-BREAK SPACE}1.299"),
        (129900, "EUR", GERMAN, "1.299,00\N{NO-BREAK SPACE}€"),
        (-1234567890, "CHF", GERMAN, "-12.345.678,90\N{NO-BREAK SPACE}CHF"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(
    amount: int, currency: str, style: NumberFormat, expected: str
) -> None:
    assert format_amount(amount, currency, style) == expected


def test_amounts_and_reasons_are_in_the_language_of_the_mail() -> None:
    german = render_email("order_cancelled", "de", "x", FACTS, "Cartwright").text
    assert "Gesamtbetrag: 1.299,00\N{NO-BREAK SPACE}€" in german
    assert "Ein Artikel ist nicht mehr vorrätig." in german
    assert "We have returned ¥500 to you" in render_headline("refund", "en", FACTS).content


def test_an_unknown_reason_is_shown_unchanged() -> None:
    assert "Reason: Changed my mind" in (
        render_email("order_cancelled", "en", "x", {"reason": "Changed my mind"}, "Cartwright").text
    )


def test_a_malformed_fact_is_left_out() -> None:
    facts = {"total": {"amount": "many"}, "refund": {}, "items": None, "surprise": [1, {"a": 2}]}
    body = render_email("refund", "en", "x", facts, "Cartwright")
    assert "Total" not in body.text
    assert "your money" in body.text


def test_facts_cannot_inject_markup_or_templates() -> None:
    facts = {"name": "<script>alert(1)</script>{{ shop }}", "items": "<img src=x>"}
    html = render_email("order_confirmation", "en", "<i>", facts, "A & B").html
    assert "<script>" not in html
    assert "<img" not in html
    assert "{{ shop }}" in html
    assert "A &amp; B" in html


def test_only_a_web_address_becomes_a_link() -> None:
    html = render_email(
        "verification", "en", "x", {"link": "javascript:alert(1)"}, "Cartwright"
    ).html
    assert "javascript" not in html


def test_a_token_is_shown_only_where_there_is_no_link() -> None:
    assert "Your code: tok" in render_email("verification", "en", "x", {"token": "tok"}, "C").text
    assert "Your code" not in render_email("verification", "en", "x", FACTS, "C").text


@pytest.mark.parametrize(
    ("requested", "locale"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("de_CH", "de"),
        ("DE", "de"),
        ("fr", "en"),
        ("", "en"),
        (7, "en"),
    ],
)
def test_an_unsupported_language_falls_back_to_the_default(requested: Any, locale: str) -> None:
    assert choose_locale({"locale": requested}, "en") == locale
    assert choose_locale({}, "de") == "de"


def mime_message(**changes: Any) -> MimeMessage:
    fields: dict[str, Any] = {
        "email_id": UUID(int=7),
        "mail_from": "Käthes Lädle <shop@cartwright.example>",
        "recipient": "ada@example.com",
        "subject": "Grüße zum Ende " + "sehr " * 40 + "bald",
        "locale": "de",
        "queued_at": datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    }
    return MimeMessage(**(fields | changes))


def test_an_encoded_mail_parses_back_to_the_same_content() -> None:
    text, html = "Grüße\n" * 100, "<p>Grüße</p>\n" * 100
    source = mime_message().encode(text, html)
    mail = message_from_bytes(source, policy=default)

    assert not mail.defects
    assert source.isascii()
    assert max(map(len, source.split(b"\r\n"))) <= 78
    assert b"\n" not in source.replace(b"\r\n", b"")
    assert mail["From"].addresses[0].display_name == "Käthes Lädle"
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"] == mime_message().subject
    assert mail["Message-ID"] == f"<{UUID(int=7)}@cartwright.example>"
    assert mail["Date"].datetime == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, rich = mail.iter_parts()
    assert not [*plain.defects, *rich.defects]
    assert (plain.get_content_type(), plain.get_content()) == ("text/plain", text)
    assert (rich.get_content_type(), rich.get_content()) == ("text/html", html)


def test_encoding_a_mail_twice_gives_the_same_bytes() -> None:
    assert mime_message().encode("a", "b") == mime_message().encode("a", "b")


@pytest.mark.parametrize("recipient", ["a@b.c\r\nBcc: d@e.f", "a@b.c\n", "a\0@b.c", "", "ada"])
def test_a_recipient_cannot_add_headers(recipient: str) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        mime_message(recipient=recipient).encode("a", "b")
