"""Reading the email address or Discord name that a visitor has typed, in its canonical form."""

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from audience.models import JoinKind

MAX_EMAIL_LENGTH = 254
# Discord's rule since 2023: 2 to 32 lowercase letters, digits, underscores and periods, and no two periods in a row.
DISCORD_NAME = re.compile(r"(?!.*\.\.)[a-z0-9_.]{2,32}", re.ASCII)


def read_contact(kind: JoinKind, text: str) -> str:
    """Return an email address in lower case, or a Discord name without its @. Raises ValueError, with a sentence."""
    text = unicodedata.normalize("NFC", text).strip().lower()
    return _email(text) if kind == JoinKind.EMAIL else _discord_name(text)


def _email(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError("Enter a valid email address, such as name@example.com.") from None
    if len(text) > MAX_EMAIL_LENGTH:
        raise ValueError(f"An email address has at most {MAX_EMAIL_LENGTH} characters.")
    return text


def _discord_name(text: str) -> str:
    name = text.removeprefix("@")
    if not DISCORD_NAME.fullmatch(name):
        raise ValueError("Enter your Discord name: 2 to 32 lowercase letters, digits, underscores and periods.")
    return name
