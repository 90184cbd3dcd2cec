"""What a player's clicks and traits hold does not depend on the order of arrival: sightings of a few clicks that state
different facts of them, traits of several kinds of calls, shared browsers, merges."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.digest import touches
from audience.models import Conversion, Game, Person, Touch
from tests import factories
from tests.arrivals import arrivals
from tests.effort import examples
from tests.postbacks.histories import BROWSERS, USERS, History, browsers, hours, players, present_second, send, users
from tests.postbacks.test_shuffling import left_no_trace

pytestmark = [pytest.mark.long, pytest.mark.django_db]

queries = st.sampled_from(("ttclid=T1", "ttclid=T1&utm_campaign=c", "rdt_cid=R1", "fbclid=F1&utm_source=fb"))
cookies = st.dictionaries(st.sampled_from(("_ttp", "_fbp")), st.sampled_from(("c1", "c2")))
agents = st.sampled_from(("", "agent-1", "agent-2"))
traits = st.dictionaries(st.sampled_from(("email", "plan")), st.sampled_from(("a", "b", None)), max_size=2)


def _sighting(ids: dict[str, str], query: str, found: dict[str, str], agent: str) -> dict[str, Any]:
    context = {"pageUrl": f"https://game.example/?{query}", **({"userAgent": agent} if agent else {})}
    return {"type": "page", **ids, "properties": found, "context": context}


def _repetition(ids: dict[str, str], query: str, found: dict[str, str], agent: str) -> dict[str, Any]:
    """The click of the tab beside the URL of another page."""
    step = _sighting(ids, "", found, agent)
    return step | {"properties": {**found, "landing_page": f"https://game.example/?{query}"}}


def _cached_traits(ids: dict[str, str], stated: dict[str, Any]) -> dict[str, Any]:
    return {"type": "page", **ids, "context": {"pageUrl": "https://game.example/", "traits": stated}}


def _identify(user: str, browser: dict[str, str], stated: dict[str, Any]) -> dict[str, Any]:
    return {"type": "identify", "userId": user, **browser, "traits": stated}


def _alias(ends: tuple[str, str]) -> dict[str, Any]:
    return {"type": "alias", "fromId": ends[0], "toId": ends[1]}


def _purchase(ids: dict[str, str]) -> dict[str, Any]:
    return {"type": "track", "eventName": "purchase", **ids, "properties": {"value": 1, "currency": "USD"}}


steps = st.one_of(
    st.builds(_sighting, players, queries, cookies, agents),
    st.builds(_sighting, players, queries, cookies, agents),
    st.builds(_repetition, players, queries, cookies, agents),
    st.builds(_cached_traits, players, traits),
    st.builds(_identify, users, st.one_of(st.just({}), st.builds(lambda one: {"anonymousId": one}, browsers)), traits),
    st.builds(_alias, st.tuples(st.sampled_from(BROWSERS + USERS), users).filter(lambda ends: ends[0] != ends[1])),
    st.builds(_purchase, players),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    happened = sorted(draw(st.lists(st.tuples(hours, steps), min_size=4, max_size=14)), key=lambda step: -step[0])
    count = len(happened)
    return History(happened, (draw(arrivals(count, [])), draw(arrivals(count, []))))


def of_person(person: Person) -> dict[str, Any]:
    rows = Touch.objects.filter(person=person).order_by("network", "click_key")
    held = [{name: getattr(row, name) for name in ("click_key", *touches.COLUMNS)} for row in rows]
    return {"clicks": held, "traits": person.traits, "times": person.trait_times}


def outcome(game: Game) -> dict[str, Any]:
    """What each player has, by their ids; and the click of each purchase."""
    people = Person.objects.filter(game=game).prefetch_related("identities")
    ids = {row.pk: frozenset((one.namespace, one.value) for one in row.identities.all()) for row in people}
    purchases = Conversion.objects.filter(game=game).select_related("touch")
    won = {row.message_id: (ids[row.person_id], row.touch.click_key if row.touch else row.reason) for row in purchases}
    return {"players": {ids[row.pk]: of_person(row) for row in people}, "won": won}


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(history=histories())
def test_every_order_of_arrival_fills_clicks_and_traits_alike(history: History) -> None:
    with left_no_trace():
        now, games = present_second(), []
        for arrival in (history.in_order(), *history.arrivals):
            games.append(factories.game())
            for _ in send(history, arrival, game=games[-1], now=now):
                pass
        expected, *others = [outcome(game) for game in games]
        assert others == [expected, expected]
