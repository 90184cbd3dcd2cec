"""Reads an ad click out of an event: the one reader of every place where a click may be stated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from audience.digest import click_ids
from audience.digest.click_ids import MAX_LENGTH, Paid
from audience.digest.click_places import INSTALL_EVENT, Place, named_in_campaign, page_url, places, referrer
from audience.models import Event, Game, JoinKind, Kind

# For the columns of a touch.
MAX_IP, MAX_USER_AGENT, MAX_BROWSER_ID = 45, 1024, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A paid visit. `click_id` and its `parameter` are '' if only UTM parameters identify it.

    `cookies` are those of all networks, `browser_id` is the first of the network's own; '' without one. `is_repeated`:
    it may be the click of an earlier visit, since the page has another URL.
    """

    network: str
    parameter: str
    click_id: str
    campaign: dict[str, str]
    page_url: str
    referrer: str
    ip: str
    user_agent: str
    browser_id: str
    cookies: dict[str, str]
    is_repeated: bool

    def key(self, message_id: str) -> str:
        """What tells this click from others of the network: its id, or without one the message that states it."""
        return self.click_id or f"message:{message_id}"


def read(
    *,
    properties: Mapping[str, Any],
    context: Mapping[str, Any],
    name: str = "",
    untagged_is_paid: bool = True,
    table: Mapping[str, str] | None = None,
) -> Click | None:
    """Return the ad click of an event with this name; None for an organic one.

    `untagged_is_paid`: whether a click id of Meta without campaign tags counts. `table`: click_ids.CLICK_IDS, or that
    of a game (named_parameters.table_of).
    """
    return read_with_unfilled(
        properties=properties, context=context, name=name, untagged_is_paid=untagged_is_paid, table=table
    )[0]


def read_event(event: Event, game: Game | None = None, *, table: Mapping[str, str] | None = None) -> Click | None:
    """Return the ad click of an event by the game's setting; without a game any that one of the settings counts."""
    return read_event_with_unfilled(event, game, table=table)[0]


def read_event_with_unfilled(
    event: Event, game: Game | None = None, *, table: Mapping[str, str] | None = None
) -> tuple[Click | None, dict[str, str]]:
    """Return the click as `read_event` does, and the unfilled macros as `read_with_unfilled` does."""
    if game and JoinKind.REFERRER not in game.joins and event.name.lower() == INSTALL_EVENT:
        return None, {}
    return read_with_unfilled(
        properties=event.properties,
        context=event.context,
        # The name of a page says nothing about its URL.
        name=event.name if event.kind == Kind.TRACK else "",
        untagged_is_paid=game is None or game.untagged_fbclid_is_paid,
        table=table,
    )


def read_with_unfilled(
    *,
    properties: Mapping[str, Any],
    context: Mapping[str, Any],
    name: str = "",
    untagged_is_paid: bool = True,
    table: Mapping[str, str] | None = None,
) -> tuple[Click | None, dict[str, str]]:
    """Return the click as `read` does, and the click parameters whose macro was not filled in, with their values.

    In properties only macros count: `null` there is what a program has without a click.
    """
    table = table or click_ids.CLICK_IDS
    stated = list(places(properties=properties, context=context, name=name, table=table))
    campaign = Place(named_in_campaign(context.get("campaign"))).tags if stated else {}
    # {fbclid: the tags of the first URL that states it}: they hold where it is stated again without tags.
    tagged: dict[str | None, dict[str, str]] = {}
    for place in stated:
        meta_id = place.parameters.get(click_ids.ON_ORGANIC_LINKS)
        tags = place.tags or tagged.get(meta_id) or ({} if place.only_ids else campaign)
        if meta_id:
            tagged.setdefault(meta_id, tags)
        if visit := _paid(place, tags, untagged_is_paid, table):
            return _click(visit, place, tags, properties, context), _unfilled(stated, table)
    return None, _unfilled(stated, table)


def _unfilled(stated: Sequence[Place], table: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in stated:
        is_missing = click_ids.is_unfilled if place.is_url else click_ids.is_macro
        for name, value in place.parameters.items():
            if name in table and name not in found and is_missing(value):
                found[name] = value
    return found


def cookies(properties: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, str]:
    """Return the cookies of all networks, by their names in the browser; senders may leave out the first underscore.

    One that is too long is left out: a network cannot match what was cut.
    """
    holders = [_lowered(holder) for holder in (properties, context)]
    holders += [_lowered(holder["cookies"]) for holder in holders if isinstance(holder.get("cookies"), Mapping)]
    found = {}
    for cookie in dict.fromkeys([*chain(*click_ids.COOKIES.values()), *click_ids.FIRST_PARTY_COOKIES]):
        bare = cookie.lstrip("_").lower()
        names = (cookie.lower(),) if bare in click_ids.CLICK_IDS else (cookie.lower(), bare)
        stated = (holder.get(name) for name in names for holder in holders)
        usable = (value.strip() for value in stated if isinstance(value, str) and click_ids.is_cookie(value.strip()))
        if value := next(usable, ""):
            found[cookie] = value
    return found


def _paid(place: Place, tags: Mapping[str, str], untagged_is_paid: bool, table: Mapping[str, str]) -> Paid | None:
    visit = click_ids.paid(place.parameters, tags, untagged_is_paid=untagged_is_paid, table=table)
    return None if visit and place.only_ids and not visit.click_id else visit


def _click(
    visit: Paid, place: Place, tags: Mapping[str, str], properties: Mapping[str, Any], context: Mapping[str, Any]
) -> Click:
    stored = cookies(properties, context)
    own = (stored[cookie] for cookie in click_ids.COOKIES.get(visit.network, ()) if cookie in stored)
    return Click(
        network=visit.network,
        parameter=visit.parameter,
        click_id=visit.click_id,
        campaign={name: value for name, value in {**tags, **place.ad_tags}.items() if len(value) <= MAX_LENGTH},
        page_url=_whole(page_url(properties, context)),
        referrer=_whole(referrer(properties, context)),
        ip=_whole(context.get("ip"), MAX_IP),
        user_agent=_whole(context.get("user_agent"), MAX_USER_AGENT),
        browser_id=_whole(next(own, ""), MAX_BROWSER_ID),
        cookies=stored,
        is_repeated=place.is_repeated and bool(visit.click_id),
    )


def _whole(value: Any, max_length: int = MAX_LENGTH) -> str:
    """The text; '' if it is longer, or no text."""
    return value if isinstance(value, str) and len(value) <= max_length else ""


def _lowered(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in holder.items()}
