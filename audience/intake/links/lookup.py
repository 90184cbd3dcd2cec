"""The lookup of tracking links, with a cache that also serves while the database is unavailable."""

import time
from dataclasses import dataclass
from functools import partial

import structlog
from django.db import DatabaseError, InterfaceError
from django.utils.asyncio import async_unsafe

from audience.digest.named_parameters import table_of
from audience.intake.requests import prefetch, suppressed_ids
from audience.models import ApiKey, Game, TrackingLink
from audience.models.links import SLUG

logger = structlog.get_logger(__name__)

# An archived or changed link is used for at most this long by a process that has it in its cache.
LINK_CACHE_SECONDS = 1.0
# Links that a process loads when it starts, the newest first, and those that it remembers.
MAX_LOADED_LINKS = 10_000
MAX_CACHED_LINKS = 20_000


@dataclass(slots=True)
class CachedLink:
    """A link, live or not, with the unsaved key under which its clicks are stored.

    `expires_at` is a time of time.monotonic(). `is_refreshing`: a new lookup has been started.
    """

    link: TrackingLink
    key: ApiKey
    expires_at: float
    is_refreshing: bool = False


# By slug.
_cache: dict[str, CachedLink] = {}


def find_link(slug: str) -> CachedLink | None:
    """Return the live link with this slug; None when it is unknown or archived.

    Unknown slugs are not cached: a link works from the moment it is created. Raises SynchronousOnlyOperation on the
    event loop when the link is not in the cache. While the database is unavailable the last known state is returned;
    raises its error for a link that this process does not know.
    """
    if not SLUG.fullmatch(slug):
        return None
    now, cached = time.monotonic(), _cache.get(slug)
    if cached is None or cached.expires_at <= now:
        cached = _look_up_or_keep(slug)
    elif not cached.is_refreshing and cached.expires_at - now < LINK_CACHE_SECONDS / 2 and prefetch.on_event_loop():
        cached.is_refreshing = True
        prefetch.prefetch(partial(_look_up, slug))
    return cached if cached and cached.link.archived_at is None else None


def find_known(slug: str) -> CachedLink | None:
    """Return the live link as this process last read it, without a query; None when it is unknown or archived."""
    cached = _cache.get(slug)
    return cached if cached and cached.link.archived_at is None else None


def clear_link_cache() -> None:
    """Empty the cache after a link was changed, so that the change takes effect in this process at once."""
    _cache.clear()


def load_links() -> None:
    """Read the live links, so that this process can redirect even if the database is unavailable at the first click.

    They have expired already, so that a click looks its link up again if it can.
    """
    games: dict[int, Game] = {}
    for link in TrackingLink.objects.live().select_related("game__suppression_version")[:MAX_LOADED_LINKS]:
        # The queries of _key_of are one per instance of a game.
        link.game = games.setdefault(link.game_id, link.game)
        _cache.setdefault(link.slug, CachedLink(link, _key_of(link), time.monotonic()))


def _look_up_or_keep(slug: str) -> CachedLink | None:
    try:
        return _look_up(slug)
    except (DatabaseError, InterfaceError) as error:
        if (known := _cache.get(slug)) is None:
            raise
        logger.warning("link_lookup_failed", error=type(error).__name__)
        known.expires_at, known.is_refreshing = time.monotonic() + LINK_CACHE_SECONDS, False
        return known


@async_unsafe("A query must not block the event loop.")
def _look_up(slug: str) -> CachedLink | None:
    now, cached = time.monotonic(), _cache.get(slug)
    link = TrackingLink.objects.select_related("game__suppression_version").filter(slug=slug).first()
    found = CachedLink(link, _key_of(link), now + LINK_CACHE_SECONDS) if link else None
    if _cache.get(slug) is not cached:
        return found  # another thread has cleared or refreshed the cache since, and this result may be older
    if found is None:
        _cache.pop(slug, None)
        return None
    if len(_cache) >= MAX_CACHED_LINKS:
        _cache.clear()
    _cache[slug] = found
    return found


def _key_of(link: TrackingLink) -> ApiKey:
    """Return an unsaved key of the link's game, with all that storing a click needs of it."""
    key = ApiKey(game=link.game, name=link.name)
    suppressed_ids.attach([key])
    table_of(link.game)
    return key
