"""What a game's people should look at first, worst first: each with its cause and what to do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min
from django.urls import reverse
from django.utils.timesince import timeuntil

from audience import clock
from audience.models import ApiKey, Batch, BatchState, Game
from postbacks.health import Health, advice
from postbacks.hub.listing import ConfigRow
from postbacks.models import Alert

LAG = timedelta(minutes=1)
BAD, WARN = "bad", "warn"
# The states that ask for somebody; quiet is no trouble, and silent and rate limited are said in the table too.
LOOKED_AT = (Health.ON_HOLD, Health.CREDENTIAL_PROBLEM, Health.DEGRADED, Health.RATE_LIMITED, Health.SILENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One notice. `what` leads to `href`; `why` and `next_step` are sentences or ''."""

    tone: str
    title: str
    what: str
    href: str
    why: str
    next_step: str
    since: datetime | None = None
    when: str = "Since"


def items(game: Game, configs: list[ConfigRow], *, lag_since: datetime | None) -> list[Item]:
    """All there is, the bad before the merely odd. `lag_since`: `digest_lag_since` of the game."""
    found = [*_postbacks(game, configs), *_set_aside(game), *_lag(game, lag_since)]
    found += [*_alerts(game, configs), *_keys(game)]
    return sorted(found, key=lambda item: item.tone != BAD)


def digest_lag_since(game: Game) -> datetime | None:
    """When the oldest request that is not digested yet came in; None while there is none."""
    waiting = Batch.objects.filter(game=game, state=BatchState.PENDING)
    since: datetime | None = waiting.aggregate(since=Min("received_at"))["since"]
    return since


def _is_bad(row: ConfigRow) -> bool:
    return row.config.enabled and row.health is not None and row.health.health in LOOKED_AT


def _postbacks(game: Game, configs: list[ConfigRow]) -> list[Item]:
    order = list(Health)
    bad = sorted(
        ((row, row.health) for row in configs if row.health and _is_bad(row)), key=lambda p: order.index(p[1].health)
    )
    return [
        Item(
            tone=judged.dot,
            title=judged.health.label,
            what=f"{row.config.kind.label} {row.config.pixel_id}",
            href=reverse("integration", kwargs={"slug": game.slug, "network": row.config.network}),
            why=judged.why,
            next_step=judged.next_step,
            since=judged.since,
        )
        for row, judged in bad
    ]


def _set_aside(game: Game) -> list[Item]:
    failed = Batch.objects.filter(game=game, state=BatchState.FAILED)
    last = failed.order_by("-pk").first()
    if last is None:
        return []
    number = failed.count()
    requests = "1 request was" if number == 1 else f"{number:,} requests were"
    said = advice.impersonal(last.error)
    return [
        Item(
            tone=BAD,
            title="Events set aside",
            what="Live events",
            href=reverse("events", kwargs={"slug": game.slug}),
            why=f"{requests} stored, but could not be digested. Nothing is lost. {said}".strip(),
            next_step="Ask whoever runs this server to look at Batches in the admin and digest them again.",
            since=last.received_at,
            when="The last came in",
        )
    ]


def _lag(game: Game, since: datetime | None) -> list[Item]:
    if since is None or clock.now() - since < LAG:
        return []
    return [
        Item(
            tone=WARN,
            title="Digest behind",
            what="Live events",
            href=reverse("events", kwargs={"slug": game.slug}),
            why="Events are stored, but the oldest has not been looked at yet.",
            next_step="Check that a worker and the beat are running; what waits is digested in its order.",
            since=since,
        )
    ]


def _alerts(game: Game, configs: list[ConfigRow]) -> list[Item]:
    """Alerts still open over postbacks that are well again, or gone: those above are said already."""
    said = [row.config.pk for row in configs if _is_bad(row)]
    found = Alert.objects.filter(game=game, recovered_at=None).exclude(config__in=said)
    rows = found.select_related("config").defer("config__credential", "config__previous_credential")
    return [
        Item(
            tone=WARN,
            title="Alert open",
            what=f"{alert.config.kind.label} {alert.config.pixel_id}",
            href=reverse("alerts", kwargs={"slug": game.slug}),
            why=alert.cause,
            next_step="It is well again. The alert closes by itself once it has been so for a minute.",
            since=alert.opened_at,
        )
        for alert in rows.order_by("opened_at")
    ]


def _keys(game: Game) -> list[Item]:
    """Old keys in the overlap of a rotation, the next to end first."""
    ending = ApiKey.objects.live().filter(game=game).select_related("replaced_by").order_by("expires_at")
    return [_key(game, key, key.expires_at) for key in ending.exclude(expires_at=None) if key.expires_at]


def _key(game: Game, key: ApiKey, ends_at: datetime) -> Item:
    new = key.replaced_by.created_at if key.replaced_by else key.created_at
    in_use = key.last_used_at is not None and key.last_used_at > new
    used = "is still used" if in_use else "was not used since the new one was made"
    step = "Put the new key in place before then: requests with the old one are refused afterwards."
    return Item(
        tone=WARN,
        title="Key ends soon",
        what=key.name,
        href=reverse("keys", kwargs={"slug": game.slug}),
        why=f"The old key {key.prefix}… ends in {timeuntil(ends_at, depth=1)} and {used}.",
        next_step=step if in_use else "Nothing to do if the new key is in place everywhere.",
        since=key.last_used_at if in_use else None,
        when="Last used",
    )
