"""Reads one part of an entered credential, from the form or from the management API."""

import re

from audience.wording.articles import with_article
from postbacks.configs.rules import SettingsRefused
from postbacks.networks.interface.credentials import CredentialField, json_object

# Reddit's tokens are JWTs of over 700 characters; far longer input is a mistake.
MAX_CREDENTIAL = 4096


def read_part(part: CredentialField, entered: str) -> str:
    """Return the part in the form that is stored; '' for blank input. Raises SettingsRefused."""
    text, noun = entered.strip(), part.label.lower()
    if len(text) > MAX_CREDENTIAL:
        name = "token" if part.kind == "secret" else noun
        raise _refused(part, f"This {name} is longer than {MAX_CREDENTIAL} characters.")
    if part.kind == "json":
        return _json(part, text)
    if part.choices:
        if text and text not in part.choices:
            raise _refused(part, "Select one of the choices.")
        return text
    text = re.sub(r"^bearer\s+", "", text, flags=re.IGNORECASE) if part.kind == "secret" else text
    if text and not re.fullmatch(part.pattern, text):
        raise _refused(part, _malformed(part, text))
    return text


def _json(part: CredentialField, text: str) -> str:
    parsed = json_object(text)
    missing = [name for name in part.members if not isinstance(parsed.get(name), str) or not parsed[name]]
    if text and (missing or not parsed):
        raise _refused(part, f"The {part.label.lower()} is incomplete. Paste the whole file.")
    return text


def _malformed(part: CredentialField, text: str) -> str:
    noun = part.label.lower()
    if re.fullmatch(r"[!-~]+", text):
        return f"This does not look like {with_article(noun)}. {part.help}"
    return (
        f"This {noun} contains a space, a line break or another character that is not valid in a token. Copy it again."
    )


def _refused(part: CredentialField, sentence: str) -> SettingsRefused:
    return SettingsRefused(sentence, field=f"credential.{part.name}")
