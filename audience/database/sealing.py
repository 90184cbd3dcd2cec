"""JSON at rest that only this installation can read: MultiFernet over CREDENTIAL_KEYS, the first key encrypts."""

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError


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
