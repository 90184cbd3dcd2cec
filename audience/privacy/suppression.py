"""Suppressions: later events of an erased player's ids are refused (audience/intake/requests/suppressed_ids.py).

Only user ids and anonymous ids that belong to the erased player alone are suppressed: events with an id that several
players share are also those of others.
"""

from collections.abc import Iterable
from datetime import timedelta

from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import F

from audience.accounts import audit_log
from audience.database import clock
from audience.digest.event_ids import IdentityKey
from audience.models import Erasure, Suppression, SuppressionVersion
from audience.models.erasure import subject_hashes
from audience.models.people import ANONYMOUS, USER

# Until every process refuses an added id: they read the suppressions again within a second.
TAKES_EFFECT = timedelta(seconds=2)


def text_of(key: IdentityKey) -> str:
    """Return what is hashed of an id."""
    return ":".join(key)


def hashes_of(game_id: int, keys: Iterable[IdentityKey]) -> set[str]:
    """Return the keyed hashes of the user and anonymous ids of `keys`. Raises ReceiptKeyLost."""
    texts = {text_of(key) for key in keys if key[0] in (USER, ANONYMOUS)}
    return set(subject_hashes(game_id, texts).values()) if texts else set()


def begin(erasure: Erasure, keys: Iterable[IdentityKey]) -> bool:
    """Suppress these ids as well; return whether all ids are refused by every process. Raises ReceiptKeyLost."""
    hashes, row = hashes_of(erasure.game_id, keys), _row_of(erasure)
    earlier = set(row.hashes) if row else set()
    if hashes - earlier:
        _store(erasure, hashes | earlier)
        return False
    return row is None or clock.now() >= row.changed_at + TAKES_EFFECT


def finish(erasure: Erasure, keys: Iterable[IdentityKey]) -> None:
    """Suppress exactly these ids, which the erasure has found to be the player's alone."""
    row, hashes = _row_of(erasure), hashes_of(erasure.game_id, keys)
    if hashes != (set(row.hashes) if row else set()):
        _store(erasure, hashes)


@transaction.atomic
def lift(*, suppression: Suppression) -> None:
    """Accept events of these ids again. The receipt keeps the number of refused messages."""
    changes = {"ids": (str(len(suppression.hashes)), "0")}
    audit_log.record(game=suppression.game, subject=suppression, action=LogEntry.Action.DELETE, changes=changes)
    Suppression.objects.filter(game=suppression.game_id, pk=suppression.pk).delete()
    _increase_version(suppression.game_id)


def _row_of(erasure: Erasure) -> Suppression | None:
    return Suppression.objects.filter(game=erasure.game_id, erasure=erasure).first()


def _store(erasure: Erasure, hashes: set[str]) -> None:
    """Store the hashes; without any, delete the row."""
    if not hashes:
        Suppression.objects.filter(game=erasure.game_id, erasure=erasure).delete()
    else:
        values = {"hashes": sorted(hashes), "changed_at": clock.now()}
        Suppression.objects.update_or_create(game_id=erasure.game_id, erasure=erasure, defaults=values)
    _increase_version(erasure.game_id)


def _increase_version(game_id: int) -> None:
    SuppressionVersion.objects.get_or_create(game_id=game_id)
    SuppressionVersion.objects.filter(game_id=game_id).update(number=F("number") + 1)
