"""The receipts there are, keyed: an HMAC over the hash that they kept, in the audit log too.

What was hashed without a key cannot be tried out in a copy of the database from then on. There is no way back from a
keyed hash, so that this is undone only where there is no receipt.
"""

import re
import secrets
from typing import Any

from django.db import migrations
from django.db.migrations.exceptions import IrreversibleError

from audience.database.encryption import encrypt
from audience.models.erasure import keyed_hash

HASH = re.compile(r"[0-9a-f]{64}")
CHUNK = 500


def key_receipts(apps: Any, _: Any) -> None:
    erasures = apps.get_model("audience", "Erasure").objects
    keys = {game_id: _key(apps, game_id) for game_id in erasures.order_by().values_list("game", flat=True).distinct()}
    for row in erasures.only("game", "subject_hash", "linked_hashes").iterator(chunk_size=CHUNK):
        key = keys[row.game_id]
        row.subject_hash = keyed_hash(key, row.subject_hash)
        row.linked_hashes = sorted(keyed_hash(key, digest) for digest in row.linked_hashes)
        row.save(update_fields=["subject_hash", "linked_hashes"])
    _key_entries(apps, keys)


def _key(apps: Any, game_id: int) -> str:
    key = secrets.token_hex(32)
    apps.get_model("audience", "ReceiptKey").objects.create(game_id=game_id, sealed=encrypt(key))
    return key


def _key_entries(apps: Any, keys: dict[int, str]) -> None:
    """The audit log wrote the hash down as well; of a game that has no receipt any more it is taken out."""
    entries = apps.get_model("auditlog", "LogEntry").objects.filter(
        content_type__app_label="audience", content_type__model="erasure", changes__has_key="subject_hash"
    )
    for entry in entries.only("changes", "additional_data").iterator(chunk_size=CHUNK):
        key = keys.get((entry.additional_data or {}).get("game"))
        pair = [_keyed(key, str(value)) for value in entry.changes["subject_hash"]]
        entry.changes = {**entry.changes, "subject_hash": pair}
        entry.save(update_fields=["changes"])


def _keyed(key: str | None, value: str) -> str:
    if not HASH.fullmatch(value):
        return value
    return keyed_hash(key, value) if key else "None"


def refuse(apps: Any, _: Any) -> None:
    if apps.get_model("audience", "Erasure").objects.exists():
        raise IrreversibleError("The receipts of erasures are keyed: what they were before is not known any more.")


class Migration(migrations.Migration):
    dependencies = [("audience", "0024_receipt_keys"), ("auditlog", "0017_add_actor_email")]
    operations = [migrations.RunPython(key_receipts, refuse)]
