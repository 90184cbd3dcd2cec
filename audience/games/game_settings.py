"""Changing the settings of a game, one section at a time.

`seen` is the version of the section (`version`) that the editor saw: if it changed since, the change is refused, so
that nobody overwrites what they have not read. '' skips this check. Each change leaves one entry in the audit log.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from audience.games import return_addresses as addresses
from audience.models import Game, JoinKind
from audience.models.games import MAX_MATCH_HOURS, MAX_REWARD_LENGTH, MAX_WINDOW_DAYS
from audience.storage import retention

GENERAL, ATTRIBUTION, AD_CLICKS = "general", "attribution", "ad_clicks"
CONSENT, RETENTION, JOINS = "consent", "retention", "joins"
COLUMNS = {
    GENERAL: ("name",),
    ATTRIBUTION: ("attribution_window_days", "network_windows"),
    AD_CLICKS: ("untagged_fbclid_is_paid",),
    CONSENT: ("strict_consent", "limited_data_use"),
    RETENTION: ("kept_days",),
    JOINS: ("joins", "reward_text", "return_addresses", "match_hours"),
}


class SettingsChanged(Exception):
    """Somebody else changed the section since the editor saw it. Nothing was saved; the message has the new values."""

    def __init__(self, now: str) -> None:
        super().__init__(f"Someone else changed this while you were editing: {now} Your change was not saved.")


class WouldDelete(Exception):
    """A shorter retention deletes events (retention.count_older_events) and was not confirmed. Nothing was saved."""


def version_of(*values: object) -> str:
    """Return a text that is equal for equal values."""
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def version(game: Game, section: str) -> str:
    """Return the version of a section of COLUMNS, as of this row."""
    return version_of(*(getattr(game, column) for column in COLUMNS[section]))


def lock(game: Game) -> None:
    """Lock the row until the end of the transaction, and read it again."""
    game.refresh_from_db(from_queryset=Game.objects.select_for_update(no_key=True))


def rename_game(*, game: Game, name: str, seen: str = "") -> None:
    """Set the name. The slug never changes: it is in the address of every page.

    Raises SettingsChanged, and ValueError for a name that is blank or longer than 100 characters.
    """
    name = name.strip()
    if not name or len(name) > 100:
        raise ValueError("A game's name has 1 to 100 characters.")
    _change(game, GENERAL, seen, name=name)


def set_attribution_windows(
    *, game: Game, days: int, network_days: Mapping[str, int] | None = None, seen: str = ""
) -> None:
    """Set how many days after a paid click a conversion is attributed to it; for conversions decided from now on.

    `network_days`: {network of the click: days}, for networks with another window than the others. Raises
    SettingsChanged, and ValueError unless each is 1 to MAX_WINDOW_DAYS.
    """
    if not all(1 <= number <= MAX_WINDOW_DAYS for number in (days, *(network_days or {}).values())):
        raise ValueError(f"An attribution window is 1 to {MAX_WINDOW_DAYS} days.")
    own = {network: number for network, number in sorted((network_days or {}).items()) if number != days}
    _change(game, ATTRIBUTION, seen, attribution_window_days=days, network_windows=own)


def set_ad_clicks(*, game: Game, untagged_fbclid_is_paid: bool, seen: str = "") -> None:
    """Set whether an fbclid without UTM tags counts as a paid click. Raises SettingsChanged."""
    _change(game, AD_CLICKS, seen, untagged_fbclid_is_paid=untagged_fbclid_is_paid)


def set_consent(*, game: Game, strict_consent: bool, limited_data_use: bool, seen: str = "") -> None:
    """Set what applies to players without any stated level, and limited data use. Raises SettingsChanged."""
    _change(game, CONSENT, seen, strict_consent=strict_consent, limited_data_use=limited_data_use)


def set_joins(
    *,
    game: Game,
    joins: Sequence[str],
    reward_text: str,
    return_addresses: Sequence[str],
    match_hours: int,
    seen: str = "",
) -> None:
    """Set how visits on the web are joined to players, what the claim page shows, and the hours of modeled matches.

    Raises SettingsChanged, and ValueError for an unknown kind, a long text, an invalid address or number of hours.
    """
    if not 1 <= match_hours <= MAX_MATCH_HOURS:
        raise ValueError(f"A modeled match compares 1 to {MAX_MATCH_HOURS} hours.")
    if not set(joins) <= set(JoinKind.values):
        raise ValueError(f"The kinds of joins are {', '.join(JoinKind.values)}.")
    if len(reward_text.strip()) > MAX_REWARD_LENGTH:
        raise ValueError(f"The text about the reward has at most {MAX_REWARD_LENGTH} characters.")
    values = {"joins": [kind for kind in JoinKind.values if kind in joins], "reward_text": reward_text.strip()}
    cleaned = addresses.cleaned(return_addresses)
    _change(game, JOINS, seen, **values, return_addresses=cleaned, match_hours=match_hours)


@transaction.atomic
def set_kept_days(*, game: Game, days: int | None, may_delete: bool = True, seen: str = "") -> None:
    """Set how many days events are kept, None forever. The next pruning deletes older events.

    Raises SettingsChanged, and WouldDelete for a shorter retention than before without `may_delete`. The database
    refuses less than MIN_RETENTION_DAYS.
    """
    lock(game)
    if retention.shortens(game, days) and not may_delete:
        raise WouldDelete
    _change(game, RETENTION, seen, kept_days=days)


@transaction.atomic
def _change(game: Game, section: str, seen: str, **values: Any) -> None:
    lock(game)
    if seen and seen != version(game, section):
        raise SettingsChanged(_sentence(game, section))
    for column, value in values.items():
        setattr(game, column, value)
    game.save(update_fields=list(values))


def _sentence(game: Game, section: str) -> str:
    """Return the section's values as a sentence."""
    if section == GENERAL:
        return f"the name is now “{game.name}”."
    if section == ATTRIBUTION:
        return f"the attribution window is now {game.window_text}."
    if section == AD_CLICKS:
        effect = "paid clicks" if game.untagged_fbclid_is_paid else "organic visits"
        return f"visits with an fbclid and without UTM tags now count as {effect}."
    if section == CONSENT:
        sent = "not sent" if game.strict_consent else "sent"
        scope = "every conversion" if game.limited_data_use else "conversions whose event says so"
        return (
            f"conversions of players who never stated a consent level are now {sent}, "
            f"and limited data use applies to {scope}."
        )
    if section == JOINS:
        kinds = ", ".join(JoinKind(kind).label for kind in game.joins)
        return f"the joins are now: {kinds or 'none'}."
    return f"events are now kept {f'for {game.kept_days} days' if game.kept_days else 'forever'}."
