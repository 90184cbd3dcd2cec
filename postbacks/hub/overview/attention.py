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
# How long before its end a key is listed: at least the longest overlap of a rotation.
KEY_END_NOTICE = timedelta(days=7)
# All states except quiet and healthy, which need no action.
ATTENTION_STATES = tuple(state for state in Health if state not in (Health.QUIET, Health.HEALTHY))
# Server troubles that this page reports with the game's figures instead.
REPORTED_BY_GAME = {TroubleKind.DIGEST_BEHIND, TroubleKind.BATCHES_SET_ASIDE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """`subject` links to `href` unless that is ''; `cause` and `next_step` are sentences or ''. `button` posts to
    `action`, for admins, which retries the work of `queue`. `is_server_wide`: it concerns every game."""

    tone: str
    title: str
    subject: str
    href: str
    cause: str
    next_step: str
    since: datetime | None = None
    since_label: str = "Since"
    action: str = ""
    button: str = ""
    queue: str = ""
    is_server_wide: bool = False


def items(game: Game, configs: list[ConfigRow], backlog: Backlog, *, user: Any = None) -> list[AttentionItem]:
    """Return all notices but those of set_aside_work. Links to the admin are included if `user` may open them."""
    notices = [*_server(user, backlog.now), *_postbacks(game, configs), *_behind(game, backlog)]
    return [*notices, *_alerts(game, configs), *_keys(game), *_placeholders(game)]


def sendable(configs: list[ConfigRow]) -> list[ConfigRow]:
    """Return enabled configs without a problem that has its own notice."""
    return [row for row in configs if row.config.enabled and not _needs_attention(row)]


def keeps_up(configs: list[ConfigRow], backlog: Backlog) -> bool:
    """Whether events are digested and conversions sent as they come: nothing waits for a network either."""
    waiting = [row for row in configs if _needs_attention(row) and row.health and row.health.health != Health.SILENT]
    return not backlog.is_behind and not waiting


def _needs_attention(row: ConfigRow) -> bool:
    return row.config.enabled and row.health is not None and row.health.health in ATTENTION_STATES


def _server(user: Any, now: datetime) -> list[AttentionItem]:
    """Return server troubles, which concern every game; only operators get links to their rows."""
    return [
        AttentionItem(
            tone=BAD,
            title=trouble.title,
            subject="This server",
            href=trouble.href if _may_see(user, trouble) else "",
            cause=trouble.sentence,
            next_step=trouble.next_step,
            since=trouble.since,
            is_server_wide=True,
        )
        for trouble in server_troubles.find_troubles(now=now, excluded=REPORTED_BY_GAME)
    ]


def _may_see(user: Any, trouble: Trouble) -> bool:
    return bool(trouble.permission and user and user.is_staff and user.has_perm(trouble.permission))


def _postbacks(game: Game, configs: list[ConfigRow]) -> list[AttentionItem]:
    unhealthy = [(row, row.health) for row in configs if row.health and _needs_attention(row)]
    return [
        AttentionItem(
            tone=status.dot,
            title=status.health.label,
            subject=str(row.config),
            href=reverse("integration", kwargs={"slug": game.slug, "network": row.config.network}),
            cause=status.explanation,
            next_step=status.next_step,
            since=status.since,
        )
        for row, status in sorted(unhealthy, key=lambda pair: list(Health).index(pair[1].health))
    ]


def _behind(game: Game, backlog: Backlog) -> list[AttentionItem]:
    """Return a notice if events wait to be digested, and one if deliveries are overdue."""
    items = []
    if backlog.digest_is_behind:
        items.append(
            AttentionItem(
                tone=WARN,
                title="Processing delayed",
                subject="Live events",
                href=reverse("events", kwargs={"slug": game.slug}),
                cause=f"Events are stored, but the oldest event has waited {backlog.lag} to be processed.",
                next_step="Check that a worker and the beat are running. Waiting events are processed in order.",
                since=backlog.lag_since,
            )
        )
    if backlog.sending_is_behind and backlog.oldest_due:
        config = backlog.oldest_due.config
        items.append(
            AttentionItem(
                tone=WARN,
                title="Sending delayed",
                subject=str(config),
                href=reverse("integration", kwargs={"slug": game.slug, "network": config.network}),
                cause=f"The oldest delivery that could be sent is {backlog.queue_age} overdue.",
                next_step=advice.BEHIND,
                since=backlog.due_since,
            )
        )
    return items


def _alerts(game: Game, configs: list[ConfigRow]) -> list[AttentionItem]:
    """Return open alerts of postbacks that are healthy again or deleted; the others have a notice of their health."""
    reported = [row.config.pk for row in configs if _needs_attention(row)]
    alerts = Alert.objects.filter(game=game, recovered_at=None).exclude(config__in=reported)
    rows = alerts.select_related("config").defer("config__credential", "config__previous_credential")
    return [
        AttentionItem(
            tone=WARN,
            title="Alert open",
            subject=str(alert.config),
            href=reverse("alerts", kwargs={"slug": game.slug}),
            cause=alert.cause,
            next_step="Back to normal. The alert closes automatically after a minute.",
            since=alert.opened_at,
        )
        for alert in rows.order_by("opened_at")
    ]


def _placeholders(game: Game) -> list[AttentionItem]:
    """Return the most frequent values that senders put in place of an id."""
    return [
        AttentionItem(
            tone=WARN,
            title="No usable ID",
            subject=f"{number:,} event{'' if number == 1 else 's'} with the {placeholder.label} `{placeholder.value}`",
            href=placeholder.href(game),
            cause="This value is a placeholder, not an ID. These events are not linked to a player by it, and it is not"
            " sent to a network.",
            next_step="Check your SDK call. It must send the real ID or no ID.",
            since=last_at,
            since_label="The last hour with such events began",
        )
        for placeholder, number, last_at in placeholders.most_frequent(game, limit=MAX_PLACEHOLDERS)
    ]


def _keys(game: Game) -> list[AttentionItem]:
    """Return keys that end within KEY_END_NOTICE, the next to end first."""
    ending = ApiKey.objects.live().filter(game=game, expires_at__lte=clock.now() + KEY_END_NOTICE)
    rows = ending.select_related("replaced_by").order_by("expires_at")
    return [_key(game, key, key.expires_at) for key in rows if key.expires_at]


def _key(game: Game, key: ApiKey, expires_at: datetime) -> AttentionItem:
    replaced_at = key.replaced_by.created_at if key.replaced_by else None
    in_use = key.last_used_at is not None and (replaced_at is None or key.last_used_at > replaced_at)
    remaining = timeuntil(expires_at, depth=1)
    if replaced_at:
        cause = f"The old key {key.prefix}… ends in {remaining} and "
        cause += "is still used." if in_use else "was not used after the new key was created."
        step_in_use = "Replace it with the new key before then. Requests with the old key are rejected after that."
        step_unused = "Nothing to do if the new key is used everywhere."
    else:
        used = "is in use" if in_use else "was never used"
        cause = f"The key {key.prefix}… ends in {remaining} and {used}."
        step_in_use = "Replace it with another key before then, or set a later last day."
        step_unused = "Nothing to do if the key is not needed."
    return AttentionItem(
        tone=WARN,
        title="Key ends soon",
        subject=key.name,
        href=reverse("keys", kwargs={"slug": game.slug}),
        cause=cause,
        next_step=step_in_use if in_use else step_unused,
        since=key.last_used_at if in_use else None,
        since_label="Last used",
    )
