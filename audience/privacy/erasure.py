"""Erasing a player: requested by the API or the Privacy page, done by a worker, with a receipt.

Deleted are events, traits, identities, devices, group memberships, touches, consent decisions, rejections and
conversions. Waiting deliveries are canceled by the ERASURE_HOOK; delivered ones cannot be retracted. A user id names a
player, and so does an anonymous id that was named with one user. If several players share the anonymous id, only the
events are erased whose player no other id determines.
"""

import uuid
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from audience.background import isolation, wakeup
from audience.database import clock
from audience.digest import pruned_ids
from audience.digest.queue import lock_game
from audience.ids.values import canonical
from audience.models import Batch, BatchState, Erasure, ErasureState, Game, Identity, Owners, Queue
from audience.models.erasure import ReceiptKeyLost, subject_hash, subject_hashes
from audience.models.failed_work import not_failed
from audience.models.people import ANONYMOUS
from audience.privacy import player_erasure, shared_id_erasure
from audience.privacy.erasure_steps import Erased

logger = structlog.get_logger(__name__)

# The pause while events accepted before the request are not digested yet.
DIGEST_WAIT = timedelta(seconds=2)
# The `owners` of anonymous ids that name no single player.
SHARED = (Owners.SEVERAL, Owners.CROWD, Owners.OTHER)


def request_erasure(*, game: Game, namespace: str, subject: str, requested_by: str) -> Erasure:
    """Store the request and wake a worker. `namespace` is user or anonymous. Repeating a request is harmless."""
    with transaction.atomic():
        hashed = _hash_of(game, subject)
        erasure = Erasure.objects.create(
            game=game,
            namespace=namespace,
            subject=subject,
            subject_hash=hashed,
            linked_hashes=[hashed] if hashed else [],
            requested_by=requested_by,
        )
        wakeup.wake("audience.tasks.erase")
    logger.info("erasure_requested", erasure_id=str(erasure.pk), game_id=game.pk)
    return erasure


def _hash_of(game: Game, subject: str) -> str:
    """Return the keyed hash; '' if the receipt key is lost, in which case the request waits for the key."""
    try:
        return subject_hash(game.pk, subject)
    except ReceiptKeyLost:
        logger.exception("receipt_key_lost", game_id=game.pk)
        return ""


def drain() -> int:
    """Run the due erasures, each isolated from the others; return how many were finished."""
    due = Erasure.objects.filter(state=ErasureState.PENDING, next_attempt_at__lte=clock.now())
    rows = list(due.order_by("requested_at").values_list("pk", "game_id"))
    finished = isolation.process_each(
        Queue.ERASURE,
        rows,
        lambda row: _attempt(row[0]),
        failure_key=lambda row: isolation.FailureKey(str(row[0]), row[1]),
    )
    return sum(finished)


def _attempt(erasure_id: uuid.UUID) -> bool:
    """Run one erasure; the Privacy page shows its error until it is done."""
    try:
        return run(erasure_id)
    except Exception as error:
        isolation.raise_if_unavailable(error)
        Erasure.objects.filter(pk=erasure_id).update(error=type(error).__name__)
        raise


@transaction.atomic
def run(erasure_id: uuid.UUID) -> bool:
    """Erase one subject; return False if earlier events are not digested yet or another worker is running it."""
    # Locks the erasure only: locking its game too would deadlock with writers of the game's rows.
    pending = Erasure.objects.select_for_update(skip_locked=True, of=("self",))
    erasure = pending.filter(pk=erasure_id, state=ErasureState.PENDING).select_related("game").first()
    if erasure is None:
        return False
    # An alias still in the queue may link further ids to the subject.
    earlier = Batch.objects.filter(game=erasure.game, state=BatchState.PENDING, received_at__lte=erasure.requested_at)
    if earlier.filter(not_failed(Queue.BATCH)).exists():
        erasure.next_attempt_at = clock.now() + DIGEST_WAIT
        erasure.save(update_fields=["next_attempt_at"])
        wakeup.wake(wakeup.DIGEST)
        return False
    lock_game(erasure.game_id, wait=True)
    _erase(erasure)
    report: Callable[[Erasure], None] = import_string(settings.ERASURE_DONE_HOOK)
    report(erasure)
    logger.info("erasure_done", erasure_id=str(erasure.pk), counts=erasure.counts)
    return True


def _erase_id(game: Game, key: tuple[str, str], identity: Identity) -> Erased:
    if identity.owners in SHARED:
        return shared_id_erasure.erase(game, identity)
    if identity.person is not None:
        pruned_ids.recall_of(identity.person)
    return player_erasure.erase(game, key, identity.person)


def _erase(erasure: Erasure) -> None:
    game, key = erasure.game, (erasure.namespace, erasure.subject)
    if key[0] == ANONYMOUS:
        pruned_ids.recall(game, [canonical(key[1])])
    # Two spellings of one id that version 0.2 stored may still be two players: both are erased.
    forms = {key[1], canonical(key[1])}
    identities = Identity.objects.filter(game=game, namespace=key[0], value__in=forms).select_related("person")
    by_person = {identity.person_id: identity for identity in identities.order_by("pk")}
    parts = [_erase_id(game, key, identity) for identity in by_person.values()]
    parts = parts or [player_erasure.erase(game, key, None)]
    names = dict.fromkeys(name for part in parts for name in part.counts)
    counts = {name: sum(part.counts.get(name, 0) for part in parts) for name in names}
    values = {value for part in parts for value in part.values}
    hashes = subject_hashes(game.pk, sorted({*values, erasure.subject}))
    erasure.subject_hash, erasure.linked_hashes = hashes[erasure.subject], sorted(hashes.values())
    erasure.subject, erasure.error = "", ""
    erasure.state, erasure.counts, erasure.finished_at = ErasureState.DONE, counts, clock.now()
    erasure.save()
