"""The rule of modeled matches: which visitor a first launch may come from. The result depends on no order."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from audience.models import MatchResult

# An address with more visitors, or more players, in the hours is that of a carrier, a school or a café.
MAX_PEOPLE = 3
# Visitors, and players, of an address that are read for two days and the hours. An address with so many is shared at
# any time.
MAX_VISITORS, MAX_PLAYERS = 50, 50


@dataclass(frozen=True, slots=True)
class Launch:
    """A first launch of a player without a click. `system` is '' if it is unknown."""

    id: uuid.UUID
    person_id: uuid.UUID
    at: datetime
    address: str
    system: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A paid click. `is_player`: its person has launched the game, so that the click is not another player's.

    `campaign` is its name, '' without one.
    """

    touch_id: int
    person_id: uuid.UUID
    at: datetime
    address: str
    system: str
    is_player: bool
    network: str = ""
    campaign: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """`touch_id` is None unless the launch is matched."""

    result: MatchResult
    touch_id: int | None = None


Row = TypeVar("Row", Launch, Visit)
# Returns which of these launches, and the clicks of which of these visits, have full consent.
Consenting = Callable[[Collection[Launch], Collection[Visit]], tuple[set[uuid.UUID], set[int]]]


def decide(
    launches: Sequence[Launch],
    visits: Iterable[Visit],
    *,
    hours: int,
    consenting: Consenting,
    since: datetime,
    taken: Mapping[uuid.UUID, datetime],
) -> dict[uuid.UUID, Result]:
    """Return {launch: result} of the launches since then that a visitor with full consent may have made.

    A launch is matched if exactly one visitor of its address and operating system clicked an ad in the hours before it,
    and no other launch of these hours has this visitor. Earlier launches must be those of the hours before `since`.
    `taken`: {visitor: time of the first launch before `since` that is matched with it}.
    """
    window = timedelta(hours=hours)
    visits_at, launches_at = _by_address(visits), _by_address(launches)
    busy = {address for address, some in visits_at.items() if len({visit.person_id for visit in some}) >= MAX_VISITORS}
    busy |= {address for address, some in launches_at.items() if len(some) >= MAX_PLAYERS}
    candidates: dict[Launch, list[Visit]] = {}
    shared: set[Launch] = set()
    for launch in launches:
        recent = [visit for visit in visits_at[launch.address] if _is_before(visit, launch, window)]
        if own := _last_clicks(visit for visit in recent if visit.system == launch.system and not visit.is_player):
            candidates[launch] = own
        players = {other.person_id for other in launches_at[launch.address] if abs(other.at - launch.at) <= window}
        people = max(len({visit.person_id for visit in recent}), len(players))
        if people > MAX_PEOPLE or launch.address in busy:
            shared.add(launch)
    allowed, clicks = consenting(candidates.keys(), [visit for own in candidates.values() for visit in own])
    found: dict[Launch, list[Visit]] = {}
    for launch, own in candidates.items():
        agreed = [visit for visit in own if visit.touch_id in clicks] if launch.id in allowed else []
        if agreed:
            found[launch] = agreed
    return _results(found, shared, window, dict(taken), since)


def _results(
    found: Mapping[Launch, list[Visit]],
    shared: Collection[Launch],
    window: timedelta,
    taken: dict[uuid.UUID, datetime],
    since: datetime,
) -> dict[uuid.UUID, Result]:
    """`found` has the visitors of each launch, at least one, and `shared` the launches from shared addresses."""
    launches: dict[uuid.UUID, list[Launch]] = defaultdict(list)
    for launch, visits in found.items():
        for visit in visits:
            launches[visit.person_id].append(launch)
    results = {}
    for launch in sorted(found, key=lambda one: (one.at, one.id)):
        # A visitor is one player: the first launch that is matched with it excludes later ones.
        visits = [visit for visit in found[launch] if taken.get(visit.person_id, launch.at) >= launch.at]
        if launch.at < since or not visits:
            continue
        if launch in shared:
            results[launch.id] = Result(MatchResult.SHARED)
        elif len(visits) > 1 or any(
            other.person_id != launch.person_id and abs(other.at - launch.at) <= window
            for other in launches[visits[0].person_id]
        ):
            results[launch.id] = Result(MatchResult.SEVERAL)
        else:
            results[launch.id] = Result(MatchResult.MATCHED, visits[0].touch_id)
            taken.setdefault(visits[0].person_id, launch.at)
    return results


def _is_before(visit: Visit, launch: Launch, window: timedelta) -> bool:
    return visit.person_id != launch.person_id and timedelta(0) <= launch.at - visit.at <= window


def _last_clicks(visits: Iterable[Visit]) -> list[Visit]:
    """Return the last click of each visitor whose operating system is known, in a fixed order."""
    last: dict[uuid.UUID, Visit] = {}
    for visit in sorted(visits, key=lambda visit: (visit.at, visit.touch_id)):
        if visit.system:
            last[visit.person_id] = visit
    return sorted(last.values(), key=lambda visit: visit.touch_id)


def _by_address(rows: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.address].append(row)
    return grouped
