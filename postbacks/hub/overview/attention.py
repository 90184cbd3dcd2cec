"""The notices of the Overview: each with its cause and what to do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.timesince import timeuntil

from audience.database import clock
from audience.hub.events import placeholders
from audience.models import ApiKey, Game
from postbacks.hub.overview.backlog import Backlog
from postbacks.hub.toolkit.config_rows import ConfigRow
from postbacks.models import Alert
from postbacks.monitoring.health import advice
from postbacks.monitoring.health.types import Health
from postbacks.monitoring.server import server_troubles
from postbacks.monitoring.server.trouble import Trouble, TroubleKind

BAD, WARN = "bad", "warn"
MAX_PLACEHOLDERS = 3
# How long before its end a key is shown: at least the longest overlap of a rotation.
ENDS_SOON = timedelta(days=7)
# The states that need action; quiet does not, and silent and rate limited are also in the table.
ATTENTION_STATES = (Health.ON_HOLD, Health.CREDENTIAL_PROBLEM, Health.DEGRADED, Health.RATE_LIMITED, Health.SILENT)
# Troubles with a notice of the game's own figures.
SHOWN_BY_GAME = {TroubleKind.DIGEST_BEHIND, TroubleKind.BATCHES_SET_ASIDE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """`what` links to `href` unless that is ''; `why` and `next_step` are sentences or ''. `button` posts to `action`,
    for admins. `is_of_server`: it concerns every game."""

    tone: str
    title: str
    what: str
    href: str
    why: str
    next_step: str
    since: datetime | None = None
    when: str = "Since"
    action: str = ""
    button: str = ""
    is_of_server: bool = False


def items(game: Game, configs: list[ConfigRow], backlog: Backlog, *, user: Any = None) -> list[AttentionItem]:
    """Return all notices but those of set_aside_work. `user` decides which links to the admin are included."""
    found = [*_server(user, backlog.now), *_postbacks(game, configs), *_behind(game, backlog)]
    return [*found, *_alerts(game, configs), *_keys(game), *_placeholders(game)]


def sendable(configs: list[ConfigRow]) -> list[ConfigRow]:
    """Return configs that are only delayed, not blocked; the others have notices of their own."""
    return [row for row in configs if row.config.enabled and not _needs_attention(row)]


def _needs_attention(row: ConfigRow) -> bool:
    return row.config.enabled and row.health is not None and row.health.health in ATTENTION_STATES


def _server(user: Any, now: datetime) -> list[AttentionItem]:
    """Server troubles, which concern every game; links to their rows are for operators."""
    return [
        AttentionItem(
            tone=BAD,
            title=trouble.title,
            what="This server",
            href=trouble.href if _may_see(user, trouble) else "",
            why=trouble.sentence,
            next_step=trouble.next_step,
            since=trouble.since,
            is_of_server=True,
        )
        for trouble in server_troubles.find_troubles(now=now, without=SHOWN_BY_GAME)
    ]


def _may_see(user: Any, trouble: Trouble) -> bool:
    return bool(trouble.permission and user and user.is_staff and user.has_perm(trouble.permission))


def _postbacks(game: Game, configs: list[ConfigRow]) -> list[AttentionItem]:
    found = [(row, row.health) for row in configs if row.health and _needs_attention(row)]
    return [
        AttentionItem(
            tone=judged.dot,
            title=judged.health.label,
            what=str(row.config),
            href=reverse("integration", kwargs={"slug": game.slug, "network": row.config.network}),
            why=judged.why,
            next_step=judged.next_step,
            since=judged.since,
        )
        for row, judged in sorted(found, key=lambda pair: list(Health).index(pair[1].health))
    ]


def _behind(game: Game, backlog: Backlog) -> list[AttentionItem]:
    """The trouble with its duration and what to do."""
    found = []
    if backlog.digest_is_behind:
        found.append(
            AttentionItem(
                tone=WARN,
                title="Digest behind",
                what="Live events",
                href=reverse("events", kwargs={"slug": game.slug}),
                why=f"Events are stored, but the oldest has waited {backlog.lag} to be looked at.",
                next_step="Check that a worker and the beat are running; what waits is digested in its order.",
                since=backlog.lag_since,
            )
        )
    if backlog.sending_is_behind and backlog.late:
        config = backlog.late.config
        found.append(
            AttentionItem(
                tone=WARN,
                title="Sending behind",
                what=str(config),
                href=reverse("integration", kwargs={"slug": game.slug, "network": config.network}),
                why=f"The oldest postback that could go is {backlog.queue_age} past its time.",
                next_step=advice.BEHIND,
                since=backlog.due_since,
            )
        )
    return found


def _alerts(game: Game, configs: list[ConfigRow]) -> list[AttentionItem]:
    """Open alerts of postbacks that are healthy again or deleted; others are covered above."""
    shown = [row.config.pk for row in configs if _needs_attention(row)]
    found = Alert.objects.filter(game=game, recovered_at=None).exclude(config__in=shown)
    rows = found.select_related("config").defer("config__credential", "config__previous_credential")
    return [
        AttentionItem(
            tone=WARN,
            title="Alert open",
            what=str(alert.config),
            href=reverse("alerts", kwargs={"slug": game.slug}),
            why=alert.cause,
            next_step="It is well again. The alert closes by itself once it has been so for a minute.",
            since=alert.opened_at,
        )
        for alert in rows.order_by("opened_at")
    ]


def _placeholders(game: Game) -> list[AttentionItem]:
    """What senders put most often in place of an id."""
    return [
        AttentionItem(
            tone=WARN,
            title="No usable id",
            what=f"{number:,} event{'' if number == 1 else 's'} with the {sent.label} `{sent.value}`",
            href=sent.href(game),
            why="It is no id but what a client sends without one, so it joins these events to nobody and is not sent to"
            " a network.",
            next_step="Look at your SDK call: it has to send the real id, or none.",
            since=last_at,
            when="Last received about",
        )
        for sent, number, last_at in placeholders.most_frequent(game, limit=MAX_PLACEHOLDERS)
    ]


def _keys(game: Game) -> list[AttentionItem]:
    """Keys that end within a week, the next to end first."""
    ending = ApiKey.objects.live().filter(game=game, expires_at__lte=clock.now() + ENDS_SOON)
    rows = ending.select_related("replaced_by").order_by("expires_at")
    return [_key(game, key, key.expires_at) for key in rows if key.expires_at]


def _key(game: Game, key: ApiKey, ends_at: datetime) -> AttentionItem:
    new = key.replaced_by.created_at if key.replaced_by else None
    in_use = key.last_used_at is not None and (new is None or key.last_used_at > new)
    left = timeuntil(ends_at, depth=1)
    if new:
        why = f"The old key {key.prefix}… ends in {left} and "
        why += "is still used." if in_use else "was not used since the new one was made."
        step = "Put the new key in place before then: requests with the old one are refused afterwards."
        idle = "Nothing to do if the new key is in place everywhere."
    else:
        used = "is in use" if in_use else "was never used"
        why = f"The key {key.prefix}… was given an end, which is in {left}, and {used}."
        step = "Put another key in place before then, or give this one a later last day."
        idle = "Nothing to do if nobody needs it."
    return AttentionItem(
        tone=WARN,
        title="Key ends soon",
        what=key.name,
        href=reverse("keys", kwargs={"slug": game.slug}),
        why=why,
        next_step=step if in_use else idle,
        since=key.last_used_at if in_use else None,
        when="Last used",
    )
