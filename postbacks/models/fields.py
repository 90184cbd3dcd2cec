"""A column of secrets: a mapping in Python, one Fernet token in the database (audience/database/sealing.py)."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from audience.database.sealing import reseal, seal, unseal

__all__ = ["EncryptedJSONField", "SecretDict", "reseal", "seal", "unseal"]


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
