"""The indefinite article before a label: "an access token", "a URL", "an X Ads click"."""

import re

# Begin with a consonant when spoken, although with a vowel in writing.
CONSONANT = re.compile(r"(?:uni|use|user|usual|uti|utm|url|uuid|eu|one|once)", re.IGNORECASE)
# The letters whose names begin with a vowel: an abbreviation such as SDK is spelled.
SPELLED_WITH_VOWEL = "AEFHILMNORSX"
ABBREVIATION = re.compile(r"[A-Z]{1,4}\b")
SILENT = re.compile(r"(?:hour|honest|heir)", re.IGNORECASE)


def with_article(label: str) -> str:
    """Return the label after "a" or "an"."""
    return f"{article(label)} {label}"


def article(label: str) -> str:
    if CONSONANT.match(label):
        return "a"
    if abbreviation := ABBREVIATION.match(label):
        return "an" if abbreviation[0][0] in SPELLED_WITH_VOWEL else "a"
    return "an" if label[:1].lower() in tuple("aeiou") or SILENT.match(label) else "a"
