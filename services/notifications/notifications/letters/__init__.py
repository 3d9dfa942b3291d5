"""What is written to people: the words of each type and language, and the mails made of them."""

from notifications.letters.envelope import Envelope
from notifications.letters.letter import Letter, write
from notifications.letters.wording import Headline, locale_of, tell

__all__ = ["Envelope", "Headline", "Letter", "locale_of", "tell", "write"]
