"""Work that was set aside: a notice per queue, and retrying it."""

from collections.abc import Iterator
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Min
from django.urls import reverse

from audience.background import set_aside
from audience.hub.toolkit.filters import parse_uuid
from audience.models import Batch, BatchState, Conversion, FailedWork, Game, Queue
from audience.models.failed_work import FailedWorkQuerySet
from postbacks.hub.overview.attention import BAD, AttentionItem
from postbacks.models import Delivery
from postbacks.monitoring.health import advice

# Not a value of Queue: the state of failed requests is in Batch.
DIGEST = "digest"
ADMIN_STEP = "Fix the cause, which the error above describes. Then an admin of the game can try again."
OPERATOR_STEP = "Ask the operator of this server to check Failed work in the admin site."
# Per queue: the name of its rows in singular and plural, what failed, and the URL name of the page that shows them.
QUEUE_TEXTS: dict[str, tuple[str, str, str, str]] = {
    Queue.BATCH: ("request", "requests", "stored, but could not be updated during processing", "events"),
    Queue.FAN_OUT: ("conversion", "conversions", "stored, but could not be assigned to postbacks", "conversions"),
    Queue.SENDING: ("postback", "postbacks", "not sent because of an error", "conversions"),
    Queue.CLOSING: ("answer", "answers", "received, but could not be stored", "conversions"),
    Queue.CONFIRMATION: ("delivery", "deliveries", "not confirmed because of an error", "conversions"),
    Queue.CHECK: ("credential check", "credential checks", "requested, but could not be run", "integrations"),
    Queue.UPKEEP: ("postback", "postbacks", "not maintained because of an error", "integrations"),
    Queue.ALERT: ("postback", "postbacks", "not monitored because the health could not be read", "alerts"),
    Queue.NOTICE: ("message", "messages", "created, but could not be sent", "alerts"),
    Queue.ALERT_DIGEST: ("message", "messages", "due, but could not be created", "alerts"),
    Queue.REPLAY: ("replay", "replays", "stopped by an error", "conversions"),
    Queue.ERASURE: ("erasure", "erasures", "requested, but could not be completed", "privacy"),
    Queue.ROLLUP: ("count", "counts", "not added to the charts", "overview"),
    Queue.PRUNE: ("deletion step", "deletion steps", "not completed because of an error", "overview"),
    Queue.PARTITION: ("partition", "partitions", "not created in advance because of an error", "overview"),
}


def items(game: Game) -> Iterator[AttentionItem]:
    """Return a notice for failed batches of the game, and one for each other queue with such work."""
    yield from _failed_batches(game)
    yield from _failed_work(game, FailedWork.objects.filter(game=game), for_admins=True)
    yield from _failed_work(game, FailedWork.objects.filter(game=None), for_admins=False)


def _failed_batches(game: Game) -> Iterator[AttentionItem]:
    failed = Batch.objects.filter(game=game, state=BatchState.FAILED)
    last = failed.order_by("-pk").first()
    if last is None:
        return
    number = failed.count()
    requests = "1 request was" if number == 1 else f"{number:,} requests were"
    cause = advice.without_personal_data(last.error)
    yield AttentionItem(
        tone=BAD,
        title="Events set aside",
        subject="Live events",
        href=reverse("events", kwargs={"slug": game.slug}),
        cause=f"{requests} stored, but could not be processed. Nothing is lost. {cause}".strip(),
        next_step="Fix the cause, which the error above describes. Then an admin of the game can process them again.",
        since=last.received_at,
        since_label="The last one was received",
        action=_retry_url(game, DIGEST),
        button="Process again",
        queue=DIGEST,
    )


def _failed_work(game: Game, work: FailedWorkQuerySet, *, for_admins: bool) -> Iterator[AttentionItem]:
    """Return a notice per queue. `for_admins`: whether the game's admins may retry the work, else only the operator."""
    queues = work.set_aside().values("queue").annotate(number=Count("pk"), since=Min("first_failed_at"))
    for queue, number, since in queues.order_by("queue").values_list("queue", "number", "since"):
        last = work.set_aside().filter(queue=queue).latest("set_aside_at")
        singular, plural, failure, _ = QUEUE_TEXTS[queue]
        count = f"1 {singular} was" if number == 1 else f"{number:,} {plural} were"
        yield AttentionItem(
            tone=BAD,
            title="Set aside",
            subject=Queue(queue).label,
            href=_href(game, queue, last.row if number == 1 else ""),
            cause=f"{count} {failure}. Nothing is lost. {advice.without_personal_data(last.error)}".strip(),
            next_step=ADMIN_STEP if for_admins else OPERATOR_STEP,
            since=since,
            since_label="The first failed",
            action=_retry_url(game, queue) if for_admins else "",
            button="Try again" if for_admins else "",
            queue=queue if for_admins else "",
        )


def _retry_url(game: Game, queue: str) -> str:
    return f"{reverse('set-aside-retry', kwargs={'slug': game.slug})}?{urlencode({'queue': queue})}"


def _href(game: Game, queue: str, row: str) -> str:
    """Return the page of the conversion if there is one row, else the page that lists the queue's rows."""
    conversion = _conversion(game, queue, row)
    if conversion:
        return reverse("conversion", kwargs={"slug": game.slug, "pk": conversion})
    return reverse(QUEUE_TEXTS[queue][3], kwargs={"slug": game.slug})


def _conversion(game: Game, queue: str, row: str) -> UUID | None:
    pk = parse_uuid(row)
    if pk and queue == Queue.FAN_OUT:
        return Conversion.objects.filter(game=game, pk=pk).values_list("pk", flat=True).first()
    if pk and queue in (Queue.SENDING, Queue.CLOSING, Queue.CONFIRMATION):
        return Delivery.objects.filter(game=game, pk=pk).values_list("conversion_id", flat=True).first()
    return None


def retry(game: Game, queue: str) -> int:
    """Retry the work of a queue of a game that was set aside; return how many rows. Raises ValueError for an unknown
    queue."""
    if queue == DIGEST:
        return set_aside.retry_failed_batches(Batch.objects.filter(game=game))
    if queue not in Queue.values:
        raise ValueError(queue)
    return set_aside.retry_set_aside(FailedWork.objects.filter(game=game, queue=queue).set_aside())
