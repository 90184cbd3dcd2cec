"""Storing joins: each is an identify of a browser's anonymous id, and a row that says of which kind it is.

What a program could do with an alias or a typed identify of a dialect, the claim page does here, by the same rules
(docs/identity.md): two user ids are never one player because they were used in one browser.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from audience.database import clock
from audience.ids.values import canonical
from audience.intake.messages.message import Message
from audience.intake.requests import suppressed_ids
from audience.intake.storing.accept import accept
from audience.models import ApiKey, Dialect, Game, Join, JoinKind, KeyKind, Kind
from audience.models.people import USER
from consent.models import ConsentDecision, Level

# The key in the context of an event that says by which kind of join it was stored.
JOIN_NOTE = "join"
LIBRARY = {"library": "afterclick-claim", "library_version": "1"}


class JoinRefused(Exception):
    """Nothing was stored. The message is a sentence for the visitor."""


class NoConsent(JoinRefused):
    """The visitor declined, or the game stores nothing without consent."""


class AlreadyUsed(JoinRefused):
    """This assertion, or this code, has made a join before."""


def consent_of(game: Game, anonymous_id: str) -> Level:
    """Return the newest decision of this browser, or without one what the game's setting says. not_set is none."""
    newest = ConsentDecision.objects.for_ids(game.pk, [canonical(anonymous_id)]).first() if anonymous_id else None
    if newest is None:
        return Level.NONE if game.strict_consent else Level.FULL
    return Level.NONE if newest.level == Level.NOT_SET else Level(newest.level)


def add_join(
    *,
    game: Game,
    kind: JoinKind,
    anonymous_id: str,
    player_id: str,
    key: str,
    links: Sequence[tuple[str, str]] = (),
    traits: dict[str, Any] | None = None,
    consent_level: str = "",
) -> Join:
    """Join a browser with a player, and return the join.

    `links` are (namespace, id) pairs of the player. If one of them is a user id, that names the player. A stated
    `consent_level` is a decision of the visitor. `key`: see Join. Raises NoConsent, AlreadyUsed, and JoinRefused for a
    player who was erased with a suppression. Raises django.db.OperationalError when the database is unavailable.
    """
    message = _message(
        Kind.IDENTIFY,
        f"{kind}:{key}",
        now := clock.now(),
        user_id=next((value for namespace, value in links if namespace == USER), ""),
        anonymous_id=anonymous_id,
        links=[link for link in links if link[0] != USER],
        consent_level=consent_level,
        traits=traits or {},
        context={JOIN_NOTE: kind.value},
        raw={"type": "identify", "join": kind.value, "browser": anonymous_id, "player": player_id},
    )
    message.add_linked_contacts()
    with transaction.atomic():
        if not consent_level and consent_of(game, anonymous_id) == Level.NONE:
            raise NoConsent("This browser has not agreed to be connected with a player. Nothing was stored.")
        ids = {"anonymous_id": canonical(anonymous_id), "player_id": canonical(player_id)}
        values = {"kind": kind, "joined_at": now, **ids}
        join, is_new = Join.objects.get_or_create(game=game, key=key, defaults=values)
        if not is_new:
            raise AlreadyUsed("This sign-in has been used already. Start again.")
        _store(game, message, now)
    return join


def add_visit(*, game: Game, anonymous_id: str, url: str, referrer: str, user_agent: str, ip: str, key: str) -> None:
    """Store a visit of the claim page as a page event, for the ad click in its URL. The caller has checked consent."""
    now = clock.now()
    facts = {"page_url": url, "page_referrer": referrer, "user_agent": user_agent, "ip": ip}
    message = _message(
        Kind.PAGE,
        f"visit:{key}",
        now,
        anonymous_id=anonymous_id,
        request_ip=ip,
        context={name: value for name, value in facts.items() if value},
        raw={"type": "page", "browser": anonymous_id, "url": url},
    )
    _store(game, message, now)


def _message(kind: Kind, message_id: str, now: datetime, *, context: Mapping[str, str], **fields: Any) -> Message:
    stated: dict[str, Any] = {"event_at": now, "day": now.date(), "surface": "web", "context": {**LIBRARY, **context}}
    return Message(kind=kind, message_id=message_id, **stated, **fields)


def _store(game: Game, message: Message, now: datetime) -> None:
    """Store a message that came with no key. Raises JoinRefused if its player's events are refused."""
    # Its message ids have the prefix of servers, so that no public key can send an event under the same id before.
    key = ApiKey(game=Game.objects.select_related("suppression_version").get(pk=game.pk), kind=KeyKind.SERVER)
    suppressed_ids.attach([key])
    if key.game.suppressed_ids and key.game.suppressed_ids.erasure_of(message):
        raise JoinRefused("The data of this player was erased, and new data is refused. Nothing was stored.")
    accept(key=key, dialect=Dialect.IMMUTABLE, messages=[message], received_at=now)
