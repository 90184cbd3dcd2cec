"""`manage.py rotate_credential_keys`: encrypt every stored secret with the first of CREDENTIAL_KEYS."""

from collections import Counter
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model, TextField, Value
from django.db.models.functions import Cast

from audience.database.encryption import reencrypt
from audience.models import ReceiptKey
from postbacks.models import AlertHook, CredentialCheck, PostbackConfig

# Every encrypted column, and the name of its rows in the report.
ENCRYPTED_COLUMNS: tuple[tuple[type[Model], str, str], ...] = (
    (PostbackConfig, "credential", "postbacks"),
    (PostbackConfig, "previous_credential", "credentials before a rotation"),
    (CredentialCheck, "credential", "checks"),
    (AlertHook, "secret", "alert hooks"),
    (AlertHook, "previous_secrets", "alert hooks before a rotation"),
    (ReceiptKey, "sealed", "keys of receipts"),
)
# The outcomes for a secret.
OUTCOMES = ROTATED, CURRENT, UNREADABLE = "re-encrypted", "already under the first key", "unreadable"


class Command(BaseCommand):
    help = (
        "Re-encrypt every stored credential under the first of CREDENTIAL_KEYS. Put the new key first, run this, then "
        "remove the old key. Can run more than once, and while the service is running."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for model, column, name in ENCRYPTED_COLUMNS:
            rows = _rows_with_secret(model, column).values_list("pk", "text").iterator()
            unreadable += self._report(name, Counter(_rotate(model, column, pk, text) for pk, text in rows))
        factors = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).iterator()
        unreadable += self._report("second factors", Counter(map(_rotate_second_factor, factors)))
        if unreadable:
            raise CommandError(f"None of CREDENTIAL_KEYS decrypts {unreadable} of them: add the missing key again.")

    def _report(self, name: str, counts: Counter[str]) -> int:
        self.stdout.write(f"{name}: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES))
        return counts[UNREADABLE]


def _rows_with_secret(model: type[Model], column: str) -> Any:
    """Return the rows with a secret, and its ciphertext as `text` (by a cast, since the field would decrypt it)."""
    return model._default_manager.exclude(**{column: ""}).annotate(text=Cast(column, TextField()))


def _reencrypted(text: str) -> tuple[str, str]:
    """Return the new ciphertext, and ROTATED, CURRENT or UNREADABLE."""
    try:
        Fernet(settings.CREDENTIAL_KEYS[0]).decrypt(text.encode())
        return text, CURRENT
    except InvalidToken:
        pass
    try:
        return reencrypt(text), ROTATED
    except InvalidToken:
        return text, UNREADABLE


def _rotate_second_factor(authenticator: Any) -> str:
    """Re-encrypt the secret of an authenticator app, or the seed of recovery codes, in allauth's JSON column."""
    name = "secret" if authenticator.type == Authenticator.Type.TOTP else "seed"
    ciphertext, outcome = _reencrypted(authenticator.data[name])
    if outcome == ROTATED:
        # Compare and swap, as below: a recovery code may be used meanwhile.
        unchanged = Authenticator.objects.filter(pk=authenticator.pk, data=authenticator.data)
        unchanged.update(data={**authenticator.data, name: ciphertext})
    return outcome


def _rotate(model: type[Model], column: str, pk: Any, text: str) -> str:
    ciphertext, outcome = _reencrypted(text)
    if outcome == ROTATED:
        # Compare and swap: a credential saved meanwhile is newer, and encrypted with the first key.
        _rows_with_secret(model, column).filter(pk=pk, text=text).update(**{column: Value(ciphertext, TextField())})
    return outcome
