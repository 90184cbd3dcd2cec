"""The steps from a new game to its first delivery: which are done, and the rows that prove it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef
from django.urls import reverse

from audience.hub.toolkit.masking import without_addresses
from audience.models import ApiKey, Conversion, Event, Game, KeyKind, Rejection, Touch
from audience.models.attribution import trigger_label
from audience.wording.articles import with_article
from postbacks.hub.guide import chosen_network
from postbacks.hub.guide.chosen_network import ChosenNetwork
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.reporting.labels import network_label

# Clicks among which one of the network is looked for, since no index has a game's clicks by network.
MAX_CLICKS_SCANNED = 2_000
TITLES = {
    "key": "Create an API key",
    "event": "Send the first event",
    "click": "Capture an ad click",
    "postback": "Add a conversion postback",
    "delivery": "See the first delivery",
}


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One step. `evidence` names the row that completed it, `problem` the obstacle, which the page `href` shows;
    `occurred_at` is the time of either. `again` says why to run the code of a completed step again. All may be empty.
    """

    key: str
    done: bool = False
    evidence: str = ""
    occurred_at: datetime | None = None
    problem: str = ""
    href: str = ""
    again: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.key]


def progress(
    game: Game, *, chosen: ChosenNetwork | None = None, dialect: str = "", addresses: bool = False
) -> list[GuideStep]:
    """Return all five steps in order, for the chosen network, in at most twelve queries. A key of the dialect is
    preferred.

    Email addresses in ids are masked unless `addresses`.
    """
    chosen = chosen or chosen_network.chosen(game)
    event, click = _event(game), _click(game, chosen)
    if event.done and not click.done and click.problem:
        event = replace(event, again=f"Run this again for {chosen.network.label}. Its code now includes such a click.")
    steps = [_key(game, dialect), event, click, _postback(game, chosen), _delivery(game, chosen)]
    return steps if addresses else [_masked(step) for step in steps]


def completed_steps(game: Game, *, chosen: ChosenNetwork) -> list[GuideStep]:
    """Return all five steps in order without evidence, in one query.

    They are about the chosen network until the first delivery to any, which completes the setup of the game.
    """
    configs = PostbackConfig.objects.kept().filter(game=OuterRef("pk"))
    delivered = Delivery.objects.filter(game=OuterRef("pk"), state=DeliveryState.DELIVERED)
    keys = ApiKey.objects.live().filter(game=OuterRef("pk"), kind=KeyKind.PUBLISHABLE)
    row = Game.objects.filter(pk=game.pk).values_list(
        Exists(keys),
        Exists(Event.objects.filter(game_id=OuterRef("pk"))),
        Exists(Touch.objects.filter(game=OuterRef("pk"))),
        Exists(Touch.objects.filter(chosen.clicks, pk__in=_newest_clicks(game))),
        Exists(configs),
        Exists(configs.filter(network=chosen.network.kind)),
        Exists(delivered),
    )
    key, event, any_click, click, any_postback, postback, delivery = row.get()
    found = (key, event, any_click if delivery else click, any_postback if delivery else postback, delivery)
    return [GuideStep(name, done) for name, done in zip(TITLES, found, strict=True)]


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
        evidence = f"{newest.name or newest.kind} from {sender or 'a player without an ID'}"
        return GuideStep("event", True, evidence, newest.received_at)
    rejection = Rejection.objects.filter(game=game).order_by("-pk").first()
    if rejection is None:
        return GuideStep("event")
    reason = rejection.errors[0]["message"] if rejection.errors else ""
    href = f"{reverse('events', kwargs={'slug': game.slug})}?status=rejected"
    return GuideStep("event", occurred_at=rejection.received_at, problem=f"A message was rejected: {reason}", href=href)


def _newest_clicks(game: Game) -> Any:
    """Return a subquery of primary keys."""
    return Touch.objects.filter(game=game).order_by("-pk").values("pk")[:MAX_CLICKS_SCANNED]


def _click(game: Game, chosen: ChosenNetwork) -> GuideStep:
    newest = Touch.objects.filter(chosen.clicks, pk__in=_newest_clicks(game)).order_by("-pk").first()
    if newest:
        # The beginning only, since a whole click id identifies the player to the network.
        click_id = f", {newest.click_id[:10]}…" if newest.click_id else ""
        label = with_article(network_label(newest.network))
        evidence = f"{label[0].upper()}{label[1:]} click{click_id}"
        return GuideStep("click", True, evidence, newest.clicked_at)
    other = Touch.objects.filter(game=game).order_by("-pk").first()
    if other is None:
        return GuideStep("click")
    problem = f"The newest click is from {network_label(other.network)}. Run step 2 again for {chosen.network.label}."
    return GuideStep("click", occurred_at=other.clicked_at, problem=problem)


def _postback(game: Game, chosen: ChosenNetwork) -> GuideStep:
    configs = PostbackConfig.objects.kept().filter(game=game).defer("credential", "previous_credential")
    rows = list(configs.order_by("-created_at"))
    newest = next((row for row in rows if row.network == chosen.network.kind), None)
    if newest:
        return GuideStep("postback", True, str(newest), newest.validated_at)
    problem = f"The newest one is for {network_label(rows[0].network)}." if rows else ""
    return GuideStep("postback", problem=problem)


def _delivery(game: Game, chosen: ChosenNetwork) -> GuideStep:
    sent = Delivery.objects.filter(game=game, state=DeliveryState.DELIVERED).order_by("-event_at")
    delivered = sent.filter(network=chosen.network.kind).first()
    if delivered:
        evidence = f"{delivered.trigger_label} accepted by {network_label(delivered.network)}"
        return GuideStep("delivery", True, evidence, delivered.finished_at)
    conversion = Conversion.objects.filter(game=game).select_related("touch").order_by("-event_at").first()
    if conversion is None:
        return GuideStep("delivery")
    href = reverse("conversion", kwargs={"slug": game.slug, "pk": conversion.pk})
    came = trigger_label(conversion.trigger)
    if conversion.touch and not chosen.takes(conversion.touch):
        problem = f"{came} was received, but it followed a click from {network_label(conversion.touch.network)}. "
        problem += f"Run step 2 again for {chosen.network.label}, then this step."
    else:
        reason = conversion.get_reason_display() or "It is being sent"
        problem = f"{came} was received, but is not delivered yet. {reason}."
    return GuideStep("delivery", occurred_at=conversion.event_at, problem=problem, href=href)


def _masked(step: GuideStep) -> GuideStep:
    return replace(step, evidence=without_addresses(step.evidence), problem=without_addresses(step.problem))
