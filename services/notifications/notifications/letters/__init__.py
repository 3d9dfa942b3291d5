"""What is written to people: the words of each type and language, and the mails made of them."""

from notifications.letters.mail import compose
from notifications.letters.wording import Headline, locale_of, tell

__all__ = ["Headline", "compose", "locale_of", "tell"]
