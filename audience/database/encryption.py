"""Encryption of JSON values with CREDENTIAL_KEYS (MultiFernet); the first key encrypts, all decrypt."""

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])


def encrypt(value: Any) -> str:
    """Encrypt a JSON value to text."""
    return _fernet().encrypt(json.dumps(value).encode()).decode()


def decrypt(text: str) -> Any:
    """Decrypt what `encrypt` returned. Raises ValidationError if none of CREDENTIAL_KEYS decrypts it."""
    try:
        return json.loads(_fernet().decrypt(text.encode()))
    except InvalidToken:
        raise ValidationError(
            "No key in CREDENTIAL_KEYS decrypts this credential. A key may have been removed too early."
        ) from None


def reencrypt(text: str) -> str:
    """Encrypt again with the first of CREDENTIAL_KEYS."""
    return _fernet().rotate(text.encode()).decode()
