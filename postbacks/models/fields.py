"""Encrypted columns: a mapping in Python, a Fernet token in the database (audience/database/encryption.py)."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from audience.database.encryption import decrypt, encrypt


class SecretDict(dict[str, str]):
    """A mapping whose repr does not show its values.

    If none of CREDENTIAL_KEYS decrypts it, the mapping is empty and `ciphertext` is what is stored, so that a lost key
    breaks no page and no queue. Saving it stores the ciphertext unchanged.
    """

    ciphertext = ""

    def __repr__(self) -> str:
        return f"SecretDict({', '.join(f'{name}=…' for name in self)})"

    __str__ = __repr__


class EncryptedJSONField(models.TextField[Mapping[str, str], SecretDict]):
    """A `SecretDict` in Python, a Fernet token in the database; an empty mapping is stored as ''."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> SecretDict:
        secret = SecretDict()
        try:
            secret.update(decrypt(value) if value else {})
        except ValidationError:
            secret.ciphertext = value or ""
        return secret

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, SecretDict) and value.ciphertext and not value:
            return value.ciphertext
        return encrypt(dict(value)) if value else ""

    def value_to_string(self, obj: models.Model) -> str:
        # dumpdata must not print secrets.
        return ""
