"""Letters: the words of a type set into the layout, as HTML and as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, PackageLoader, Template

from notifications.domain.kind import Kind
from notifications.letters.wording import fill, language, spoken

# In the order in which a mail lists them.
LISTED: Final = ("order_number", "total", "refund", "carrier", "tracking_number", "reason")


def _layout(name: str, *, is_html: bool) -> Template:
    environment = Environment(
        loader=PackageLoader("notifications.letters", "layout"),
        autoescape=is_html,  # noqa: S701  (the other layout is plain text)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


HTML: Final = _layout("mail.html", is_html=True)
TEXT: Final = _layout("mail.txt", is_html=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail's two bodies, of the same words."""

    html: str
    text: str


def write(kind: Kind, locale: str, subject: str, facts: Mapping[str, Any], shop: str) -> Letter:
    """Write a mail; whatever fact is missing is left out."""
    words, said = language(locale), {**spoken(locale, facts), "shop": shop}
    wording = words.types[kind]
    link = said.get("link", "")
    page = {
        "locale": locale,
        "shop": shop,
        "subject": subject,
        "greeting": fill(words.greeting, said),
        "content": fill(wording.content, said),
        "items": said.get("items", "").splitlines(),
        "items_label": words.labels["items"],
        "listed": [(words.labels[name], said[name]) for name in LISTED if name in said],
        # An address of another scheme would be run, not opened, by some mail programs.
        "link": link if link.startswith(("https://", "http://")) else "",
        "button": wording.button,
        "link_fails": words.link_fails,
        "code": said.get("token", ""),
        "code_label": words.code,
        "note": fill(wording.note, said),
        "closing": fill(words.closing, said),
    }
    return Letter(HTML.render(page), TEXT.render(page))
