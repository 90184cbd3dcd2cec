"""JSON at rest that only this installation can read: MultiFernet over CREDENTIAL_KEYS, the first key encrypts."""

import json
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])


def seal(value: Any) -> str:
    """Encrypt any JSON value to text, also for what must not lie readable in the broker."""
    return _box().encrypt(json.dumps(value).encode()).decode()


def unseal(text: str) -> Any:
    """Read what `seal` wrote; `ValidationError` when none of CREDENTIAL_KEYS fits."""
    try:
        return json.loads(_box().decrypt(text.encode()))
    except InvalidToken:
        raise ValidationError("No key in CREDENTIAL_KEYS opens this credential: was one removed too early?") from None


def reseal(text: str) -> str:
    """The same secret under the first of CREDENTIAL_KEYS."""
    return _box().rotate(text.encode()).decode()


class SecretDict(dict[str, str]):
    """A mapping that never prints its values.

    `sealed` is set, and the mapping empty, when none of CREDENTIAL_KEYS opened it: one lost key must not stop a list
    or a queue that has the row in it. Saved again, it is stored as it was.
    """

    sealed = ""

    def __repr__(self) -> str:
        return f"SecretDict({', '.join(f'{name}=…' for name in self)})"

    __str__ = __repr__


class EncryptedJSONField(models.TextField[Mapping[str, str], SecretDict]):
    """A `SecretDict` in Python, one Fernet token in the database; an empty mapping is stored as ''."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> SecretDict:
        opened = SecretDict()
        try:
            opened.update(unseal(value) if value else {})
        except ValidationError:
            opened.sealed = value or ""
        return opened

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, SecretDict) and value.sealed and not value:
            return value.sealed
        return seal(dict(value)) if value else ""

    def value_to_string(self, obj: models.Model) -> str:
        # dumpdata must not become a list of secrets.
        return ""
