"""Creating, changing, archiving and restoring tracking links. Each change leaves an audit log entry."""

import secrets
from dataclasses import asdict, dataclass
from typing import Any

from django.db import IntegrityError, transaction

from audience.database import clock
from audience.intake.links import lookup
from audience.intake.links.destinations import DestinationRefused, read_destination
from audience.models import Game, LinkConsent, TrackingLink
from audience.models.links import MAX_SLUG, MAX_TAG, SLUG, UTM

MAX_LINKS = 1_000  # of a game, with the archived ones
MAX_NAME = 80
# Without letters and digits that look alike in print.
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
GENERATED_LENGTH = 8
TAKEN = "This slug is taken. Slugs of archived links, and of links of other games, are not used again."
CHANGED = "This link was changed by someone else, so nothing was saved. Open it and save again."


class LinkRefused(Exception):
    """Why a link cannot be saved, as a sentence. `field` is a field of TrackingLink, '' for the whole link."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class LinkChanged(LinkRefused):
    """Someone else changed the link since the editor read it. Nothing was saved."""

    def __init__(self) -> None:
        super().__init__(CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkValues:
    """What an editor decides about a link; '' for a UTM parameter that it does not set."""

    name: str
    destination: str
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    consent: LinkConsent = LinkConsent.GAME

    @classmethod
    def of(cls, link: TrackingLink) -> "LinkValues":
        tags = {name: getattr(link, name) for name in UTM}
        return cls(name=link.name, destination=link.destination, consent=LinkConsent(link.consent), **tags)


@transaction.atomic
def create_link(*, game: Game, values: LinkValues, slug: str = "", created_by: Any = None) -> TrackingLink:
    """Create a link; without a slug it gets a random one. Raises LinkRefused; nothing is stored then."""
    columns = _columns(values)
    slug = slug.strip().lower()
    if slug and not SLUG.fullmatch(slug):
        raise LinkRefused(
            f"A slug has 1 to {MAX_SLUG} letters a to z, digits and hyphens, without a hyphen at its ends.",
            field="slug",
        )
    # Also serializes the creation of links, so that their number is exact.
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)
    if TrackingLink.objects.filter(game=game).count() >= MAX_LINKS:
        raise LinkRefused(f"A game has at most {MAX_LINKS:,} links.")
    link = TrackingLink(game=game, slug=slug or _random_slug(), created_by=created_by, **columns)
    try:
        with transaction.atomic():
            link.save()
    except IntegrityError:
        raise LinkRefused(TAKEN, field="slug") from None
    return link


@transaction.atomic
def change_link(*, link: TrackingLink, values: LinkValues, version: int | None = None) -> None:
    """Change a link, effective in every process within a second.

    `version` is the one that the editor saw, None to skip this check. Raises LinkChanged and LinkRefused; nothing is
    changed then.
    """
    columns = _columns(values)
    _lock(link, version)
    if all(getattr(link, name) == value for name, value in columns.items()):
        return
    for name, value in columns.items():
        setattr(link, name, value)
    _save(link)


@transaction.atomic
def archive_link(*, link: TrackingLink, version: int | None = None) -> None:
    """Archive a link: its address answers 404. A second call changes nothing. Raises LinkChanged."""
    _lock(link, version)
    if link.archived_at is None:
        link.archived_at = clock.now()
        _save(link)


@transaction.atomic
def restore_link(*, link: TrackingLink, version: int | None = None) -> None:
    """Make an archived link redirect again. A second call changes nothing. Raises LinkChanged."""
    _lock(link, version)
    if link.archived_at is not None:
        link.archived_at = None
        _save(link)


def _lock(link: TrackingLink, version: int | None) -> None:
    """Lock the row and reload it. Raises LinkChanged if it has another version."""
    rows = TrackingLink.objects.filter(game=link.game_id).select_for_update(of=("self",))
    link.refresh_from_db(from_queryset=rows)
    if version is not None and link.version != version:
        raise LinkChanged


def _save(link: TrackingLink) -> None:
    link.version, link.updated_at = link.version + 1, clock.now()
    link.save()
    # After the commit: before it, a click would put the old row into the cache again.
    transaction.on_commit(lookup.clear_link_cache)


def _columns(values: LinkValues) -> dict[str, Any]:
    """Return {column: value}. Raises LinkRefused."""
    columns = {name: " ".join(str(value).split()) for name, value in asdict(values).items()}
    if not columns["name"] or len(columns["name"]) > MAX_NAME or "\x00" in columns["name"]:
        raise LinkRefused(f"A name has 1 to {MAX_NAME} characters.", field="name")
    for name in UTM:
        if len(columns[name]) > MAX_TAG or not columns[name].isprintable():
            raise LinkRefused(f"A UTM parameter has at most {MAX_TAG} visible characters.", field=name)
    try:
        columns["destination"] = read_destination(values.destination)
    except DestinationRefused as refused:
        raise LinkRefused(str(refused), field="destination") from refused
    return {**columns, "consent": values.consent.value}


def _random_slug() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))
