"""Mails sent over SMTP to a catcher process and read over HTTP."""

import re
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from mailcatcher.mailbox import MAX_BYTES, MAX_MESSAGES, Mailbox
from testkit.mail_catcher import CatcherProcess


class Catcher(CatcherProcess):
    def send(self, subject: str, to: str = "ada@example.com", html: str | None = None) -> None:
        mail = EmailMessage()
        mail["From"] = "Cartwright <shop@example.com>"
        mail["To"] = to
        mail["Subject"] = subject
        mail["Message-ID"] = f"<{len(subject)}@example.com>"
        mail.set_content("Thank you — danke schön.\n")
        if html is not None:
            mail.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as smtp:
            smtp.send_message(mail)


@pytest.fixture(scope="module")
def running() -> Iterator[Catcher]:
    catcher = Catcher()
    catcher.start()
    yield catcher
    catcher.close()


@pytest.fixture
def catcher(running: Catcher) -> Catcher:
    running.reset()
    return running


def test_a_mail_is_stored_as_it_was_sent(catcher: Catcher) -> None:
    catcher.send("Your order ✓", html="<h1>Thank you</h1>")

    (summary,) = catcher.list()
    mail = catcher.client.get(f"/messages/{summary['id']}").json()

    assert summary["from"] == "shop@example.com"
    assert summary["to"] == ["ada@example.com"]
    assert summary["subject"] == "Your order ✓"
    assert summary["message_id"] == "<12@example.com>"
    assert mail["text"].strip() == "Thank you — danke schön."
    assert mail["html"].strip() == "<h1>Thank you</h1>"
    assert ["To", "ada@example.com"] in mail["headers"]
    assert datetime.fromisoformat(mail["received_at"]).utcoffset() is not None


def test_mails_are_listed_by_recipient_subject_and_last_id(catcher: Catcher) -> None:
    catcher.send("Order confirmed")
    catcher.send("Order shipped", to="grace@example.com")
    catcher.send("Order shipped")

    newest, _, oldest = catcher.list()

    assert [newest["subject"], oldest["subject"]] == ["Order shipped", "Order confirmed"]
    assert catcher.list(to="ADA@example.com", subject="ship") == [newest]
    assert catcher.list(after=oldest["id"], to="ada@example.com") == [newest]
    assert catcher.list(after=newest["id"]) == []
    assert catcher.list(limit=1) == [newest]


def test_ids_continue_after_the_mails_were_deleted(catcher: Catcher) -> None:
    catcher.send("One")
    (first,) = catcher.list()
    catcher.client.delete("/messages")
    catcher.send("Two")

    assert [mail["subject"] for mail in catcher.list(after=first["id"])] == ["Two"]
    assert catcher.client.get(f"/messages/{first['id']}").status_code == 404


def test_mails_can_be_rejected_temporarily(catcher: Catcher) -> None:
    catcher.refuse(2)

    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError) as refused:
            catcher.send("Not now")
        assert refused.value.smtp_code == 451
    catcher.send("Now")

    assert [mail["subject"] for mail in catcher.list()] == ["Now"]


def test_mails_can_be_rejected_permanently(catcher: Catcher) -> None:
    catcher.refuse(1, permanently=True)

    with pytest.raises(smtplib.SMTPDataError) as refused:
        catcher.send("Never")
    assert refused.value.smtp_code == 550


def test_the_page_shows_a_mail_in_a_sandbox(catcher: Catcher) -> None:
    catcher.send("<b>Hello</b>", html="<script>alert(1)</script><p>Hi</p>")
    (mail,) = catcher.list()

    page = catcher.client.get("/", params={"id": mail["id"]})
    frame = catcher.client.get(f"/messages/{mail['id']}/html")

    assert "&lt;b&gt;Hello&lt;/b&gt;" in page.text
    assert "<script>" not in page.text
    assert f'src="messages/{mail["id"]}/html"' in page.text
    # Relative, so that the page also works below a gateway's prefix.
    assert not re.search(r'(?:href|src)="/', page.text)
    assert "<p>Hi</p>" in frame.text
    policy = frame.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy


def test_the_page_of_an_empty_catcher(catcher: Catcher) -> None:
    assert "No mail has come in yet." in catcher.client.get("/").text


def test_a_malformed_mail_is_shown_as_far_as_it_can_be_decoded(catcher: Catcher) -> None:
    odd = b"Subject: \xff odd\r\nMessage-ID: <\r\nContent-Type: text/plain; charset=nonsense\r\n\r\ncaf\xc3\xa9 \xff"
    with smtplib.SMTP("127.0.0.1", catcher.smtp_port) as smtp:
        smtp.sendmail("a@example.com", ["b@example.com"], odd)

    (summary,) = catcher.list(subject="odd")
    mail = catcher.client.get(f"/messages/{summary['id']}").json()

    assert mail["text"].strip() == "café \ufffd"
    assert mail["html"] is None
    assert "caf" in catcher.client.get("/").text


@pytest.mark.parametrize(
    "path", ["/messages/0", "/messages/x", "/messages?after=-1", "/messages?limit=9999", "/?id=0"]
)
def test_a_malformed_query_is_rejected(catcher: Catcher, path: str) -> None:
    assert catcher.client.get(path).status_code == 422


def test_memory_is_bounded_by_number_and_by_size() -> None:
    mailbox, now = Mailbox(), datetime.now(UTC)
    for _ in range(MAX_MESSAGES + 1):
        mailbox.catch("a@example.com", ("b@example.com",), b"x", now=now)
    assert len(mailbox.search(limit=2 * MAX_MESSAGES)) == MAX_MESSAGES
    assert mailbox.find(1) is None

    large = b"x" * (MAX_BYTES // 4)
    for _ in range(6):
        mailbox.catch("a@example.com", ("b@example.com",), large, now=now)
    assert len(mailbox.search(limit=2 * MAX_MESSAGES)) == 4
