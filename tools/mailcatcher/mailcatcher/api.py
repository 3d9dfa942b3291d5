"""Routes of the caught mails: JSON for programs and a page for people."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader
from pydantic import BaseModel, ConfigDict, Field

from mailcatcher.mailbox import CaughtMail, Mailbox

router = APIRouter()

_templates = Environment(loader=PackageLoader("mailcatcher"), autoescape=True, trim_blocks=True)
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'"
)
# A mail is untrusted: no scripts, no forms, no requests; links open in a new tab.
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'"
)
_PAGE_SIZE: Final = 200


async def get_mailbox(request: Request) -> Mailbox:
    mailbox: Mailbox = request.app.state.mailbox
    return mailbox


CurrentMailbox = Annotated[Mailbox, Depends(get_mailbox)]
MailId = Annotated[int, Path(ge=1, le=2**53)]


class MailSummary(BaseModel):
    """`from` and `to` are those of the SMTP dialogue; `received_at` is in UTC."""

    model_config = ConfigDict(populate_by_name=True)

    id: int
    sender: Annotated[str, Field(serialization_alias="from")]
    to: list[str]
    subject: str
    message_id: str
    received_at: datetime


class Mail(MailSummary):
    """A whole mail; a missing part is null."""

    text: str | None
    html: str | None
    headers: list[tuple[str, str]]


class Behaviour(BaseModel):
    """How many of the next mails are rejected: temporarily (SMTP 451) or permanently (550)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    refuse: Annotated[int, Field(ge=0, le=1_000_000)]
    for_good: bool = False


@router.get("/messages")
async def list_messages(
    mailbox: CurrentMailbox,
    to: str | None = None,
    subject: str | None = None,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 100,
) -> list[MailSummary]:
    """List mails, newest first: to `to`, with `subject` in the subject, newer than `after`."""
    found = mailbox.search(to=to, subject=subject, after=after, limit=limit)
    return [_summary(caught) for caught in found]


@router.get("/messages/{mail_id}")
async def get_message(mail_id: MailId, mailbox: CurrentMailbox) -> Mail:
    """Return one mail with its bodies and headers."""
    caught = _get(mailbox, mail_id)
    return Mail(
        **_summary(caught).model_dump(),
        text=caught.part("plain"),
        html=caught.part("html"),
        headers=caught.headers,
    )


@router.get("/messages/{mail_id}/html", include_in_schema=False)
async def show_html(mail_id: MailId, mailbox: CurrentMailbox) -> HTMLResponse:
    """Return the HTML part, for the frame of the page."""
    part = _get(mailbox, mail_id).part("html") or ""
    opening = '<!doctype html><base target="_blank">'
    return HTMLResponse(opening + part, headers={"Content-Security-Policy": _MAIL_POLICY})


@router.delete("/messages", status_code=204)
async def delete_messages(mailbox: CurrentMailbox) -> None:
    """Delete all mails."""
    mailbox.clear()


@router.post("/behaviour")
async def set_behaviour(behaviour: Behaviour, mailbox: CurrentMailbox) -> Behaviour:
    """Reject the next mails; none if `refuse` is 0."""
    mailbox.refuse = behaviour.refuse
    mailbox.refuse_permanently = behaviour.for_good
    return behaviour


@router.get("/", include_in_schema=False)
async def show_page(
    mailbox: CurrentMailbox,
    mail_id: Annotated[int | None, Query(alias="id", ge=1, le=2**53)] = None,
) -> HTMLResponse:
    """Show the newest mails, and beside them the chosen one (else the newest)."""
    mails = mailbox.search(limit=_PAGE_SIZE)
    chosen = _get(mailbox, mail_id) if mail_id else next(iter(mails), None)
    page = _templates.get_template("mails.html").render(mails=mails, chosen=chosen)
    return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})


@router.get("/livez", include_in_schema=False)
@router.get("/readyz", include_in_schema=False)
async def health() -> dict[str, str]:
    return {"status": "ok"}


def _get(mailbox: Mailbox, mail_id: int) -> CaughtMail:
    if caught := mailbox.find(mail_id):
        return caught
    raise HTTPException(404, "There is no such mail.")


def _summary(caught: CaughtMail) -> MailSummary:
    return MailSummary(
        id=caught.id,
        sender=caught.sender,
        to=list(caught.recipients),
        subject=caught.subject,
        message_id=caught.message_id,
        received_at=caught.received_at,
    )
