"""The steps from a new game to its first delivery: which are done, and the rows that prove it."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.urls import reverse

from audience.hub.toolkit.masking import without_addresses
from audience.models import ApiKey, Conversion, Event, Game, KeyKind, Rejection, Touch
from audience.models.attribution import trigger_label
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.reporting.labels import network_label

# Clicks read to find the newest one, since no index has a game's clicks by time.
MAX_CLICKS_SCANNED = 200
TITLES = {
    "key": "Create an API key",
    "event": "Send the first event",
    "click": "Capture an ad click",
    "postback": "Add a conversion postback",
    "delivery": "See the first delivery arrive",
}


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One step. `evidence` names the row that completed it, `problem` the obstacle, which the page `href` shows;
    `occurred_at` is the time of either. All may be empty."""

    key: str
    done: bool = False
    evidence: str = ""
    occurred_at: datetime | None = None
    problem: str = ""
    href: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.key]


def progress(game: Game, *, dialect: str = "", addresses: bool = False) -> list[GuideStep]:
    """Return all five steps in order, in at most eight queries. A key of the dialect is preferred.

    Email addresses in ids are masked unless `addresses`.
    """
    steps = [_key(game, dialect), _event(game), _click(game), _postback(game), _delivery(game)]
    return steps if addresses else [_masked(step) for step in steps]


def completed_steps(game: Game) -> list[GuideStep]:
    """Return all five steps in order without evidence, in one query."""
    configs = PostbackConfig.objects.kept().filter(game=OuterRef("pk"))
    delivered = Delivery.objects.filter(game=OuterRef("pk"), state=DeliveryState.DELIVERED)
    keys = ApiKey.objects.live().filter(game=OuterRef("pk"), kind=KeyKind.PUBLISHABLE)
    row = Game.objects.filter(pk=game.pk).values_list(
        Exists(keys),
        Exists(Event.objects.filter(game_id=OuterRef("pk"))),
        Exists(Touch.objects.filter(game=OuterRef("pk"))),
        Exists(configs),
        Exists(delivered),
    )
    return [GuideStep(key, done) for key, done in zip(TITLES, row.get(), strict=True)]


def newest_key(game: Game, dialect: str = "") -> ApiKey | None:
    """Return a live publishable key: production first, then keys of the dialect, then the newest."""
    keys = ApiKey.objects.live().filter(game=game, kind=KeyKind.PUBLISHABLE)
    return min(keys, key=lambda key: (key.is_sandbox, key.dialect != dialect, -key.pk), default=None)


def _key(game: Game, dialect: str) -> GuideStep:
    key = newest_key(game, dialect)
    return GuideStep("key", True, f"{key.name}, {key.prefix}…", key.created_at) if key else GuideStep("key")


def _event(game: Game) -> GuideStep:
    newest = Event.objects.filter(game_id=game.pk).order_by("-pk").defer("raw", "context", "properties").first()
    if newest:
        sender = newest.user_id or newest.anonymous_id or newest.device_id
        evidence = f"{newest.name or newest.kind} from {sender or 'a nameless player'}"
        return GuideStep("event", True, evidence, newest.received_at)
    rejection = Rejection.objects.filter(game=game).order_by("-pk").first()
    if rejection is None:
        return GuideStep("event")
    reason = rejection.errors[0]["message"] if rejection.errors else ""
    href = f"{reverse('events', kwargs={'slug': game.slug})}?status=rejected"
    return GuideStep("event", occurred_at=rejection.received_at, problem=f"A message was rejected: {reason}", href=href)


def _click(game: Game) -> GuideStep:
    ids = list(Touch.objects.filter(game=game).values_list("pk", flat=True)[:MAX_CLICKS_SCANNED])
    if not ids:
        return GuideStep("click")
    newest = Touch.objects.get(pk=max(ids))
    # The beginning only, since a whole click id identifies the player to the network.
    click_id = f", {newest.click_id[:10]}…" if newest.click_id else ""
    evidence = f"A {network_label(newest.network)} click{click_id}"
    return GuideStep("click", True, evidence, newest.clicked_at)


def _postback(game: Game) -> GuideStep:
    configs = PostbackConfig.objects.kept().filter(game=game).defer("credential", "previous_credential")
    newest = configs.order_by("-created_at").first()
    return GuideStep("postback", True, str(newest), newest.validated_at) if newest else GuideStep("postback")


def _delivery(game: Game) -> GuideStep:
    delivered = Delivery.objects.filter(game=game, state=DeliveryState.DELIVERED).order_by("-event_at").first()
    if delivered:
        evidence = f"{delivered.trigger_label} accepted by {network_label(delivered.network)}"
        return GuideStep("delivery", True, evidence, delivered.finished_at)
    conversion = Conversion.objects.filter(game=game).order_by("-event_at").first()
    if conversion is None:
        return GuideStep("delivery")
    reason = conversion.get_reason_display() or "It is on its way"
    href = reverse("conversion", kwargs={"slug": game.slug, "pk": conversion.pk})
    problem = f"{trigger_label(conversion.trigger)} came, but was not delivered yet. {reason}."
    return GuideStep("delivery", occurred_at=conversion.event_at, problem=problem, href=href)


def _masked(step: GuideStep) -> GuideStep:
    return replace(step, evidence=without_addresses(step.evidence), problem=without_addresses(step.problem))
