"""PostgreSQL finds each event from which the digest reads anything: clicks, unfilled macros, traits."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from audience.digest import clicks, event_groups, traits
from audience.digest.click_places import LINKS, PROPERTIES_URLS
from audience.models import Event, Kind
from tests.effort import examples

SELECT = f"""SELECT {event_groups.IS_RELEVANT}
FROM (SELECT %(kind)s AS kind, %(name)s AS name, %(properties)s::jsonb AS properties, %(context)s::jsonb AS context,
  %(traits)s::jsonb AS traits) AS event"""
parameters = st.sampled_from(["ttclid", "GCLID", "ScCid", "rdt_cid", "Fbclid", "utm_source", "irclickid"])
ids = st.sampled_from(["T1", "__CLICKID__", "{gclid}", "null", "tiktok", "adwords", ""])
pairs = st.builds("{}={}".format, parameters, ids)
urls = st.builds(
    lambda start, joined, encoded: start + (joined.replace("=", "%3D").replace("&", "%26") if encoded else joined),
    st.sampled_from(["", "https://g.example/?", "https://g.example/#/shop?", "mygame://open?a=1&amp;", "?ref=7?"]),
    st.lists(pairs, max_size=3).map("&".join),
    st.booleans(),
)
campaigns = st.one_of(
    st.fixed_dictionaries({"source": st.just("tiktok"), "medium": st.just("cpc")}),
    st.dictionaries(parameters, ids, max_size=1),
)
set_traits = st.dictionaries(st.sampled_from(["email", "plan"]), st.sampled_from(["a", None]), max_size=1)
CONTEXT_URLS = ("page_url", "page_search", "page_referrer", "install_referrer", "installReferrer", "referrer")
# (column, name, value) of what an event states. Few of them, so that no other hides one that is not found.
places = st.one_of(
    st.tuples(st.just("properties"), st.sampled_from((*LINKS, *PROPERTIES_URLS)), urls),
    st.tuples(st.just("properties"), st.sampled_from(("ttclid", "GCLID", "ScCid", "rdt_cid", "UTM_SOURCE")), ids),
    st.tuples(st.sampled_from(("properties", "context")), st.just("campaign"), campaigns | st.none()),
    st.tuples(st.just("context"), st.sampled_from(CONTEXT_URLS), urls),
    st.tuples(st.just("context"), st.just("referrer"), st.fixed_dictionaries({"url": urls, "link": urls})),
    st.tuples(st.just("context"), st.just("traits"), set_traits | st.just("none")),
    st.tuples(st.just("traits"), st.sampled_from(("email", "plan")), st.sampled_from(("a", None))),
)


@pytest.mark.django_db
@settings(max_examples=examples(2_000), deadline=None)
@given(
    kind=st.sampled_from([Kind.TRACK, Kind.PAGE, Kind.SCREEN, Kind.ALIAS, Kind.IDENTIFY, Kind.GROUP]),
    stated=st.lists(places, min_size=1, max_size=2),
)
def test_every_event_that_may_change_something_is_read(kind: Kind, stated: list[tuple[str, str, Any]]) -> None:
    columns: dict[str, dict[str, Any]] = {"properties": {"level": 7}, "context": {}, "traits": {}}
    for column, name, value in stated:
        columns[column][name] = value
    event = Event(kind=kind, name="progress", **columns, event_at=datetime(2026, 11, 1, tzinfo=UTC))
    click, unfilled = clicks.read_event_with_unfilled(event)
    params = {"kind": kind, "name": "progress", **event_groups.relevance_parameters(["purchase"])}
    with connection.cursor() as cursor:
        cursor.execute(SELECT, params | {name: json.dumps(value) for name, value in columns.items()})
        is_read = cursor.fetchone()[0]

    assert is_read or not (click or unfilled or list(traits.of_player(event)))
