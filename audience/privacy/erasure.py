"""Erasing a player: requested by the API or the Privacy page, done by a worker, with a receipt.

Deleted are events, traits, identities, devices, group memberships, touches, consent decisions, rejections and
conversions. Waiting deliveries are canceled by the ERASURE_HOOK; delivered ones cannot be retracted. A user id names a
player, and so does an anonymous id that was named with one user. If several players share the anonymous id, only the
events are erased whose player no other id determines.
"""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from audience.background import isolation, wakeup
from audience.database import clock
from audience.digest import pruned_ids
from audience.digest.event_ids import IdentityKey
from audience.digest.owned_ids import owned_ids
from audience.digest.queue import lock_game
from audience.ids.values import canonical
from audience.models import Batch, BatchState, Erasure, ErasureState, Game, Identity, Owners, Queue
from audience.models.erasure import ReceiptKeyLost, subject_hash, subject_hashes
from audience.models.failed_work import not_failed
from audience.models.people import ANONYMOUS
from audience.privacy import player_erasure, shared_id_erasure, suppression
from audience.privacy.erasure_steps import Erased

logger = structlog.get_logger(__name__)

# The pause while events accepted before the request are not digested yet.
DIGEST_WAIT = timedelta(seconds=2)
# The columns that are changed when the erasure is done.
DONE_FIELDS = ("subject_hash", "linked_hashes", "subject", "error", "state", "counts", "finished_at")
# The `owners` of anonymous ids that name no single player.
SHARED = (Owners.SEVERAL, Owners.CROWD, Owners.OTHER)


def request_erasure(*, game: Game, namespace: str, subject: str, requested_by: str, suppress: bool = False) -> Erasure:
    """Store the request and wake a worker. `namespace` is user or anonymous. Repeating a request is harmless.

    `suppress`: later events of the player's ids are refused, of the subject from now on (suppression.py).
    """
    with transaction.atomic():
        hashed = _hash_of(game, subject)
        erasure = Erasure.objects.create(
            game=game,
            namespace=namespace,
            subject=subject,
            subject_hash=hashed,
            linked_hashes=[hashed] if hashed else [],
            requested_by=requested_by,
            suppress=suppress,
        )
        if suppress and hashed and not _is_shared(game, namespace, subject):
            suppression.begin(erasure, [(namespace, canonical(subject))])
        wakeup.wake("audience.tasks.erase")
    logger.info("erasure_requested", erasure_id=str(erasure.pk), game_id=game.pk)
    return erasure


def _is_shared(game: Game, namespace: str, subject: str) -> bool:
    """Whether it is an id of several players, whose events are not refused."""
    rows = Identity.objects.filter(game=game, namespace=namespace, value=canonical(subject), owners__in=SHARED)
    return rows.exists()


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
    earlier = Batch.objects.filter(
        game=erasure.game, state=BatchState.PENDING, received_at__lte=_accepted_until(erasure)
    )
    if earlier.filter(not_failed(Queue.BATCH)).exists():
        _postpone(erasure, DIGEST_WAIT)
        wakeup.wake(wakeup.DIGEST)
        return False
    lock_game(erasure.game_id, wait=True)
    if erasure.suppress and not suppression.begin(erasure, _own_ids(erasure)):
        _postpone(erasure, suppression.TAKES_EFFECT)
        return False
    _erase(erasure)
    report: Callable[[Erasure], None] = import_string(settings.ERASURE_DONE_HOOK)
    report(erasure)
    logger.info("erasure_done", erasure_id=str(erasure.pk), counts=erasure.counts)
    return True


def _accepted_until(erasure: Erasure) -> datetime:
    """Return when events of the subject were accepted last: with a suppression, until it took effect."""
    begun = erasure.suppressions.filter(game=erasure.game_id).values_list("changed_at", flat=True).first()
    return begun + suppression.TAKES_EFFECT if begun else erasure.requested_at


def _postpone(erasure: Erasure, pause: timedelta) -> None:
    erasure.next_attempt_at = clock.now() + pause
    erasure.save(update_fields=["next_attempt_at"])


def _own_ids(erasure: Erasure) -> set[IdentityKey]:
    """Return the ids that belong to the player alone; none if the subject is an id of several players."""
    identities = _identities(erasure)
    players = [identity.person for identity in identities if identity.person and identity.owners not in SHARED]
    keys = {owned.key for player in players for owned in owned_ids(player) if owned.is_own}
    return keys if identities else {(erasure.namespace, canonical(erasure.subject))}


def _identities(erasure: Erasure) -> list[Identity]:
    """Return the rows of the subject, one per player, with the pruned ids of the player written again."""
    game, namespace, subject = erasure.game, erasure.namespace, erasure.subject
    if namespace == ANONYMOUS:
        pruned_ids.recall(game, [canonical(subject)])
    # Two spellings of one id that version 0.2 stored may still be two players: both are erased.
    forms = {subject, canonical(subject)}
    identities = Identity.objects.filter(game=game, namespace=namespace, value__in=forms).select_related("person")
    found = list({identity.person_id: identity for identity in identities.order_by("pk")}.values())
    for identity in found:
        if identity.owners not in SHARED and identity.person is not None:
            pruned_ids.recall_of(identity.person)
    return found


def _erase_id(game: Game, key: tuple[str, str], identity: Identity) -> Erased:
    if identity.owners in SHARED:
        return shared_id_erasure.erase(game, identity)
    return player_erasure.erase(game, key, identity.person)


def _erase(erasure: Erasure) -> None:
    game, key = erasure.game, (erasure.namespace, erasure.subject)
    parts = [_erase_id(game, key, identity) for identity in _identities(erasure)]
    parts = parts or [player_erasure.erase(game, key, None)]
    names = dict.fromkeys(name for part in parts for name in part.counts)
    counts = {name: sum(part.counts.get(name, 0) for part in parts) for name in names}
    values = {value for part in parts for value in part.values}
    if erasure.suppress:
        suppression.finish(erasure, [key for part in parts for key in part.keys])
    hashes = subject_hashes(game.pk, sorted({*values, erasure.subject}))
    erasure.subject_hash, erasure.linked_hashes = hashes[erasure.subject], sorted(hashes.values())
    erasure.subject, erasure.error = "", ""
    erasure.state, erasure.counts, erasure.finished_at = ErasureState.DONE, counts, clock.now()
    # Not the number of suppressed messages, which is counted meanwhile.
    erasure.save(update_fields=DONE_FIELDS)
