"""The code, its tests and documents use the field's terms."""

from words import ALLOWED, ROOT, banned_in, files, found


def test_no_banned_word_is_used() -> None:
    assert found() == []


def test_the_detector_splits_names_into_words() -> None:
    text = (
        "async def note_heard(toldTo, KeptBack):\n    said = unheard_of\n# It keeps. Essays stay."
    )
    words = [word for _, word in banned_in(text)]
    assert words == ["heard", "told", "kept", "said", "keeps"]


def test_every_exception_is_needed_and_has_a_reason() -> None:
    for place, words, reason in ALLOWED:
        used = {word for name in files(place) for _, word in banned_in((ROOT / name).read_text())}
        assert words <= used, f"{place} uses no {sorted(words - used)}"
        assert reason
