"""Erasing a player: requested by the API or the Privacy page, done by a worker, with a receipt.

Deleted are events, traits, identities, devices, group memberships, touches, consent decisions, rejections and
conversions. Waiting deliveries are cancelled by the ERASURE_HOOK; delivered ones cannot be taken back.
"""

import uuid
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.module_loading import import_string

from audience.background import isolation, wakeup
from audience.database import clock
from audience.digest.queue import lock_game
from audience.models import (
    Batch,
    BatchState,
    Conversion,
    Device,
    Erasure,
    ErasureState,
    Event,
    FailedWork,
    Game,
    Identity,
    Person,
    Queue,
    Rejection,
    Touch,
)
from audience.models.erasure import ReceiptKeyLost, subject_hash, subject_hashes
from audience.models.failed_work import not_failed
from audience.models.people import ANONYMOUS, DEVICE, USER
from audience.privacy import redaction
from consent.decisions import delete_decisions

logger = structlog.get_logger(__name__)

# The pause while events accepted before the request are not digested yet.
DIGEST_WAIT = timedelta(seconds=2)
DELETED_WITH_PERSON = {"conversions": Conversion, "touches": Touch, "devices": Device, "identities": Identity}
COLUMNS = {USER: "user_id", ANONYMOUS: "anonymous_id", DEVICE: "device_id"}


def request_erasure(*, game: Game, namespace: str, subject: str, requested_by: str) -> Erasure:
    """Store the request and wake a worker. `namespace` is user or anonymous. Repeating a request is harmless."""
    with transaction.atomic():
        named = _hash_of(game, subject)
        erasure = Erasure.objects.create(
            game=game,
            namespace=namespace,
            subject=subject,
            subject_hash=named,
            linked_hashes=[named] if named else [],
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
    done = isolation.process_each(
        Queue.ERASURE,
        rows,
        lambda row: _attempt(row[0]),
        row_of=lambda row: isolation.FailureKey(str(row[0]), row[1]),
    )
    return sum(done)


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
    logger.info("erasure_done", erasure_id=str(erasure.pk), counts=erasure.counts)
    return True


def _erase(erasure: Erasure) -> None:
    game_id, named = erasure.game_id, [(erasure.namespace, erasure.subject)]
    subject = Identity.objects.filter(game_id=game_id, namespace=erasure.namespace, value=erasure.subject)
    person_ids = list(subject.values_list("person_id", flat=True))
    linked = list(Identity.objects.filter(person_id__in=person_ids).values_list("namespace", "value"))
    keys = sorted({*named, *linked})
    values = sorted({value for _, value in keys})
    _redact_batch_errors(game_id, [*redaction.personal_values(person_ids), *values])
    cancel: Callable[..., int] = import_string(settings.ERASURE_HOOK)
    counts = {"postbacks_cancelled": cancel(person_ids=person_ids)}
    conversions = Conversion.objects.filter(person_id__in=person_ids).values_list("pk", flat=True)
    FailedWork.objects.filter(game_id=game_id, row__in=[str(pk) for pk in conversions]).delete()
    counts["events"] = Event.objects.filter(sent_under(game_id, keys)).delete()[0]
    counts["rejections"] = Rejection.objects.filter(game_id=game_id, subjects__overlap=values).delete()[0]
    counts["consent_decisions"] = delete_decisions(
        game_id=game_id, anonymous_ids=[value for namespace, value in keys if namespace == ANONYMOUS]
    )
    # With the person's conversions, touches, devices, identities and memberships (on_delete=CASCADE).
    deleted = Person.objects.filter(pk__in=person_ids).delete()[1]
    for name, model in DELETED_WITH_PERSON.items():
        counts[name] = deleted.get(model._meta.label, 0)
    counts["people"] = len(person_ids)
    hashes = subject_hashes(game_id, values)
    erasure.subject_hash, erasure.linked_hashes = hashes[erasure.subject], sorted(hashes.values())
    erasure.subject, erasure.error = "", ""
    erasure.state, erasure.counts, erasure.finished_at = ErasureState.DONE, counts, clock.now()
    erasure.save()


def _redact_batch_errors(game_id: int, values: list[str]) -> None:
    """Remove these values from the errors of failed batches, which may quote what was sent."""
    for batch in Batch.objects.filter(game_id=game_id, state=BatchState.FAILED).exclude(error=""):
        error = redaction.redact(batch.error, values)
        if error != batch.error:
            Batch.objects.filter(pk=batch.pk).update(error=error)


def sent_under(game_id: int, keys: list[tuple[str, str]]) -> Q:
    """Return the condition for events that name any of these ids in COLUMNS."""
    named = Q()
    for namespace, column in COLUMNS.items():
        named |= Q(**{f"{column}__in": [value for kind, value in keys if kind == namespace]})
    return Q(game_id=game_id) & named
