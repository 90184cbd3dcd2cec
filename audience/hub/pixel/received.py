"""What the web pixel of a game sent in the last minutes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from audience.database import clock
from audience.digest import clicks
from audience.digest.named_parameters import table_of
from audience.hub.toolkit.access import sees_addresses
from audience.hub.toolkit.masking import masked
from audience.intake.dialects.pixel_privacy import LIBRARY
from audience.models import Event, Membership
from consent.models import Level

PERIOD = timedelta(minutes=10)
# The newest events of the game among which those of the pixel are searched.
SCAN_LIMIT = 500
MAX_ROWS = 30
KINDS = {"page": "Page view", "identify": "Identified"}


@dataclass(frozen=True, slots=True)
class Row:
    """An event of the pixel. `click` is (network, parameter, id) of the ad click that was recognized, or None; `tags`
    are its campaign parameters."""

    moment: datetime
    title: str
    url: str
    click: tuple[str, str, str] | None
    tags: str
    consent: str
    source: str
    href: str
    is_test: bool


def rows(membership: Membership) -> list[Row]:
    """Return the newest events of the pixel, newest first."""
    game = membership.game
    events = Event.objects.filter(game_id=game.pk)
    since = clock.now() - PERIOD
    found = events.filter(pk__gt=events.scan_floor(limit=SCAN_LIMIT), received_at__gte=since, context__library=LIBRARY)
    return [_row(event, membership) for event in found.order_by("-pk")[:MAX_ROWS]]


def _row(event: Event, membership: Membership) -> Row:
    click = clicks.read_event(event, membership.game, table=table_of(membership.game))
    stated = event.context.get("consent")
    tags = [value for name, value in click.campaign.items() if name.startswith("utm_")] if click else []
    addresses = sees_addresses(membership)
    return Row(
        moment=event.received_at,
        title=masked(event.name, addresses=addresses) or KINDS.get(event.kind, event.get_kind_display()),
        url=masked(str(event.context.get("page_url", "")), addresses=addresses),
        click=(click.network, click.parameter, click.click_id) if click and click.click_id else None,
        tags=masked(" · ".join(tags), addresses=addresses),
        consent=Level(event.consent_level).label if event.consent_level else "",
        source=str(stated.get("source", "")) if isinstance(stated, dict) else "",
        href=reverse("event", kwargs={"slug": membership.game.slug, "day": event.day, "pk": event.pk}),
        is_test=event.test,
    )
