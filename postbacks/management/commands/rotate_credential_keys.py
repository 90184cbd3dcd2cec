"""`manage.py rotate_credential_keys`: every stored credential under the first of CREDENTIAL_KEYS."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model, TextField, Value
from django.db.models.functions import Cast

from postbacks.fields import reseal
from postbacks.models import AlertHook, CredentialCheck, PostbackConfig

# Every column of secrets, and what its rows are called in the report.
SEALED: tuple[tuple[type[Model], str, str], ...] = (
    (PostbackConfig, "credential", "postbacks"),
    (PostbackConfig, "previous_credential", "credentials before a rotation"),
    (CredentialCheck, "credential", "checks"),
    (AlertHook, "secret", "alert hooks"),
)


class Command(BaseCommand):
    help = (
        "Re-encrypt every stored credential under the first of CREDENTIAL_KEYS. Put the new key first, run this, then "
        "remove the old key. May run twice, and while the service is running."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for model, column, name in SEALED:
            counts = {"re-encrypted": 0, "already under the first key": 0, "unreadable": 0}
            for pk, text in _sealed(model, column).values_list("pk", "text").iterator():
                counts[_rotate(model, column, pk, text)] += 1
            self.stdout.write(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
            unreadable += counts["unreadable"]
        if unreadable:
            raise CommandError(f"None of CREDENTIAL_KEYS opens {unreadable} of them: put the missing key back.")


def _sealed(model: type[Model], column: str) -> Any:
    """Rows with a secret, and its ciphertext as `text` (a cast, since the field itself would decrypt it)."""
    return model._default_manager.exclude(**{column: ""}).annotate(text=Cast(column, TextField()))


def _rotate(model: type[Model], column: str, pk: Any, text: str) -> str:
    try:
        Fernet(settings.CREDENTIAL_KEYS[0]).decrypt(text.encode())
        return "already under the first key"
    except InvalidToken:
        pass
    try:
        renewed = reseal(text)
    except InvalidToken:
        return "unreadable"
    # Only what we have read is replaced: a credential saved meanwhile is newer, and under the first key.
    _sealed(model, column).filter(pk=pk, text=text).update(**{column: Value(renewed, TextField())})
    return "re-encrypted"
