"""Letters: every type in every language, whatever facts there are."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import UUID

import pytest

from notifications.domain import TYPES
from notifications.letters import Envelope, locale_of, tell, write
from notifications.letters.money import Marks
from notifications.letters.money import write as write_money
from notifications.letters.wording import LOCALES, language

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
ENGLISH, GERMAN = Marks(".", ",", is_currency_first=True), Marks(",", ".", is_currency_first=False)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("facts", [{}, FACTS, dict.fromkeys(FACTS, "")])
def test_every_type_reads_well_with_and_without_facts(
    kind: Any, locale: str, facts: dict[str, Any]
) -> None:
    headline = tell(kind, locale, facts)
    letter = write(kind, locale, headline.title, facts, "Cartwright")

    for words in (headline.title, headline.content, letter.text, letter.html):
        assert words
        assert "None" not in words
        assert "{{" not in words
    for words in (headline.title, headline.content, letter.text):
        assert not re.search(r"\w  | [.,!?]|:\s*$", words, re.MULTILINE) or "://" in words
    assert headline.content in letter.text


@pytest.mark.parametrize(
    ("locale", "part"), [("en", "A parcel of your"), ("de", "Ein Paket Ihrer")]
)
def test_a_mail_names_the_order_delivered_only_with_its_last_parcel(locale: str, part: str) -> None:
    one = tell("order_delivered", locale, FACTS | {"open_parcels": 1})
    last = tell("order_delivered", locale, FACTS)
    for words in (one.title, one.content):
        assert words.startswith(part)
    assert part not in last.title + last.content


def test_every_language_says_the_same_things() -> None:
    for locale in LOCALES:
        assert set(language(locale).types) == set(TYPES)
        assert set(language(locale).labels) == set(language("en").labels)
        assert set(language(locale).reasons) == set(language("en").reasons)


@pytest.mark.parametrize(
    ("amount", "currency", "marks", "written"),
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
    amount: int, currency: str, marks: Marks, written: str
) -> None:
    assert write_money(amount, currency, marks) == written


def test_amounts_and_reasons_are_said_in_the_language_of_the_mail() -> None:
    german = write("order_cancelled", "de", "x", FACTS, "Cartwright").text
    assert "Gesamtbetrag: 1.299,00\N{NO-BREAK SPACE}€" in german
    assert "Ein Artikel ist nicht mehr vorrätig." in german
    assert "We have returned ¥500 to you" in tell("refund", "en", FACTS).content


def test_a_reason_without_words_of_ours_stands_as_it_is() -> None:
    assert "Reason: Changed my mind" in (
        write("order_cancelled", "en", "x", {"reason": "Changed my mind"}, "Cartwright").text
    )


def test_an_odd_fact_is_left_out() -> None:
    facts = {"total": {"amount": "many"}, "refund": {}, "items": None, "surprise": [1, {"a": 2}]}
    letter = write("refund", "en", "x", facts, "Cartwright")
    assert "Total" not in letter.text
    assert "your money" in letter.text


def test_facts_cannot_become_markup_or_templates() -> None:
    facts = {"name": "<script>alert(1)</script>{{ shop }}", "items": "<img src=x>"}
    html = write("order_confirmation", "en", "<i>", facts, "A & B").html
    assert "<script>" not in html
    assert "<img" not in html
    assert "{{ shop }}" in html
    assert "A &amp; B" in html


def test_only_a_web_address_becomes_a_link() -> None:
    html = write("verification", "en", "x", {"link": "javascript:alert(1)"}, "Cartwright").html
    assert "javascript" not in html


def test_a_token_is_shown_only_where_there_is_no_link() -> None:
    assert "Your code: tok" in write("verification", "en", "x", {"token": "tok"}, "C").text
    assert "Your code" not in write("verification", "en", "x", FACTS, "C").text


@pytest.mark.parametrize(
    ("wanted", "spoken"),
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
def test_a_language_we_do_not_speak_becomes_the_usual_one(wanted: Any, spoken: str) -> None:
    assert locale_of({"locale": wanted}, "en") == spoken
    assert locale_of({}, "de") == "de"


def an_envelope(**changes: Any) -> Envelope:
    said = {
        "email_id": UUID(int=7),
        "mail_from": "Käthes Lädle <shop@cartwright.example>",
        "recipient": "ada@example.com",
        "subject": "Grüße zum Ende " + "sehr " * 40 + "bald",
        "locale": "de",
        "written_at": datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    }
    return Envelope(**(said | changes))


def test_a_mail_is_read_back_as_it_was_meant() -> None:
    text, html = "Grüße\n" * 100, "<p>Grüße</p>\n" * 100
    source = an_envelope().around(text, html)
    mail = message_from_bytes(source, policy=default)

    assert not mail.defects
    assert source.isascii()
    assert max(map(len, source.split(b"\r\n"))) <= 78
    assert b"\n" not in source.replace(b"\r\n", b"")
    assert mail["From"].addresses[0].display_name == "Käthes Lädle"
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"] == an_envelope().subject
    assert mail["Message-ID"] == f"<{UUID(int=7)}@cartwright.example>"
    assert mail["Date"].datetime == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, rich = mail.iter_parts()
    assert not [*plain.defects, *rich.defects]
    assert (plain.get_content_type(), plain.get_content()) == ("text/plain", text)
    assert (rich.get_content_type(), rich.get_content()) == ("text/html", html)


def test_a_mail_written_twice_is_the_same_to_the_byte() -> None:
    assert an_envelope().around("a", "b") == an_envelope().around("a", "b")


@pytest.mark.parametrize("recipient", ["a@b.c\r\nBcc: d@e.f", "a@b.c\n", "a\0@b.c", "", "ada"])
def test_a_recipient_cannot_add_headers(recipient: str) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        an_envelope(recipient=recipient).around("a", "b")
