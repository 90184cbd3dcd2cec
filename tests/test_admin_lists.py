"""Lists of the admin: the newest rows, filters that apply to them, and searches that find older rows too."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.admin import lists, newest_rows
from audience.models import Batch, Erasure, Event, Game, Rejection
from audience.models.erasure import subject_hash
from consent.models import ConsentDecision
from postbacks.models import Delivery
from tests import factories
from tests.audience.test_hub_events import event, rejection

pytestmark = pytest.mark.django_db
DELIVERIES = "/admin/postbacks/delivery/"
NOTE = "Lists and filters the newest"


@pytest.fixture
def three_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of three rows at most."""
    monkeypatch.setattr(newest_rows, "MAX_LISTED", 3)
    monkeypatch.setattr(newest_rows, "MAX_OF_SEVERAL", 3)
    monkeypatch.setattr(lists, "MAX_LISTED", 3)


def test_a_list_has_five_thousand_rows_at_most() -> None:
    assert (newest_rows.MAX_LISTED, lists.MAX_LISTED) == (5_000, 5_000)
    assert (newest_rows.MAX_OF_SEVERAL, lists.MAX_FOUND) == (2_000, 200)


def listed(client: Client, url: str, **params: Any) -> list[Any]:
    answer = client.get(url, params)
    assert answer.status_code == 200, (url, params, answer.headers)
    return list(answer.context["cl"].result_list)


def delivery_of(game: Game, minutes: int, **fields: Any) -> Delivery:
    config = game.postback_configs.first() or factories.config(game)
    at = timezone.now() - timedelta(minutes=minutes)
    return factories.delivery(config, event_at=at, created_at=at, **fields)


@pytest.mark.usefixtures("three_rows")
def test_a_list_shows_the_newest_rows_and_a_search_finds_the_others(game: Game, admin_client: Client) -> None:
    rows = [event(game, number, user_id=f"u-{number}") for number in range(5)]
    url = "/admin/audience/event/"
    assert listed(admin_client, url) == rows[:1:-1]
    page = admin_client.get(url)
    assert page.context["cl"].result_count == 3
    assert "Lists and filters the newest 3 rows. A search finds older ones too." in page.content.decode()
    assert listed(admin_client, url, q="u-0") == [rows[0]]
    assert listed(admin_client, url, q="u-") == []


@pytest.mark.usefixtures("three_rows")
def test_filters_sorting_and_pages_apply_to_the_newest_rows(game: Game, admin_client: Client) -> None:
    rows = [event(game, number, test=number < 3) for number in range(5)]
    url = "/admin/audience/event/"
    assert listed(admin_client, url, test__exact="1") == [rows[2]]
    assert listed(admin_client, url, o="1") == rows[2:]


@pytest.mark.usefixtures("three_rows")
def test_each_game_has_its_share_until_one_is_chosen(game: Game, other_game: Game, admin_client: Client) -> None:
    mine = [delivery_of(game, minutes) for minutes in (1, 2, 3, 4)]
    theirs = [delivery_of(other_game, minutes) for minutes in (10, 20)]
    assert listed(admin_client, DELIVERIES) == [mine[0], theirs[0]]
    assert f"{NOTE} 1 rows of each game." in admin_client.get(DELIVERIES).content.decode()
    assert listed(admin_client, DELIVERIES, game__id__exact=game.pk) == mine[:3]
    assert listed(admin_client, DELIVERIES, game__id__exact=other_game.pk) == theirs
    assert NOTE not in admin_client.get(DELIVERIES, {"game__id__exact": other_game.pk}).content.decode()


@pytest.mark.usefixtures("three_rows")
@pytest.mark.parametrize("state", ["failed", "held", "waiting"])
def test_deliveries_of_a_state_are_listed_however_old(game: Game, admin_client: Client, state: str) -> None:
    finished = timezone.now() if state == "failed" else None
    old = delivery_of(game, 60, state=state, finished_at=finished)
    for minutes in range(5):
        delivery_of(game, minutes, state="delivered")
    assert listed(admin_client, DELIVERIES, state__exact=state) == [old]
    assert listed(admin_client, DELIVERIES, state__exact=state, game__id__exact=game.pk) == [old]
    assert listed(admin_client, DELIVERIES, state__exact=state, config__id__exact=old.config_id) == [old]


@pytest.mark.usefixtures("three_rows")
def test_failed_requests_and_pending_erasures_are_listed_however_old(game: Game, admin_client: Client) -> None:
    now = timezone.now()
    fields = {"dialect": "immutable", "received_at": now, "accepted": 1, "duplicates": 0, "rejected": 0}
    batches = [Batch.objects.create(game=game, event_ids=[], **fields, state="failed")]
    batches += [Batch.objects.create(game=game, event_ids=[], **fields, state="done") for _ in range(4)]
    assert listed(admin_client, "/admin/audience/batch/", state__exact="failed") == batches[:1]
    erasures = [
        Erasure.objects.create(
            game=game,
            namespace="user",
            subject_hash=subject_hash(game.pk, str(minutes)),
            linked_hashes=[subject_hash(game.pk, str(minutes))],
            requested_at=now - timedelta(minutes=minutes),
            state="pending" if minutes == 9 else "done",
        )
        for minutes in (9, 4, 3, 2, 1)
    ]
    url = "/admin/audience/erasure/"
    assert listed(admin_client, url, state__exact="pending") == erasures[:1]
    assert listed(admin_client, url) == erasures[:1:-1]
    assert listed(admin_client, url, q=erasures[0].subject_hash) == erasures[:1]
    assert listed(admin_client, url, q=erasures[0].pk) == erasures[:1]


@pytest.mark.usefixtures("three_rows")
def test_a_conversion_that_waits_for_its_fan_out_is_listed_however_old(game: Game, admin_client: Client) -> None:
    player, now = factories.person(game, user="ada"), timezone.now()
    old = factories.conversion(player, event_at=now - timedelta(days=1))
    done = [factories.conversion(player, fanned_out_at=now) for _ in range(4)]
    url = "/admin/audience/conversion/"
    assert listed(admin_client, url, fanned_out_at__isempty="1") == [old]
    assert old not in listed(admin_client, url)
    for term in (old.pk, old.message_id):
        assert listed(admin_client, url, q=term) == [old], term
    assert {row.pk for row in listed(admin_client, url, q="ada")} == {old.pk, *(row.pk for row in done)}


@pytest.mark.usefixtures("three_rows")
def test_a_row_that_was_selected_is_changed_although_newer_ones_came(game: Game, admin_client: Client) -> None:
    old = delivery_of(game, 60, state="failed", finished_at=timezone.now(), verdict="transient")
    for minutes in range(5):
        delivery_of(game, minutes, state="delivered")
    chosen = {"action": "send_again", "_selected_action": [old.pk], "confirmed": "yes"}
    admin_client.post(DELIVERIES, chosen)
    old.refresh_from_db()
    assert old.state == "waiting"


@pytest.mark.usefixtures("three_rows")
def test_what_has_no_index_is_searched_in_the_newest_rows(game: Game, admin_client: Client) -> None:
    sent = [delivery_of(game, minutes, event_id=f"evt-{minutes}") for minutes in range(5)]
    assert listed(admin_client, DELIVERIES, q="evt-2") == [sent[2]]
    assert listed(admin_client, DELIVERIES, q="evt-4") == []
    for term in (sent[4].pk, sent[4].conversion_id):
        assert listed(admin_client, DELIVERIES, q=term) == [sent[4]], term
    refused = [rejection(game, number) for number in range(5)]
    Rejection.objects.filter(pk__in=(refused[0].pk, refused[4].pk)).update(message_id="sought")
    assert listed(admin_client, "/admin/audience/rejection/", q="sought") == [refused[4]]


def test_ids_are_searched_in_their_canonical_form_and_in_every_game(
    game: Game, other_game: Game, admin_client: Client
) -> None:
    written, stored = "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    people = [factories.person(of, anonymous=stored) for of in (game, other_game)]
    now = timezone.now()
    decided = [
        ConsentDecision.objects.create(game_id=of.pk, anonymous_id=stored, level="full", source="web", decided_at=now)
        for of in (game, other_game)
    ]
    assert set(listed(admin_client, "/admin/audience/person/", q=written)) == set(people)
    assert set(listed(admin_client, "/admin/audience/person/", q=people[0].pk)) == {people[0]}
    assert set(listed(admin_client, "/admin/consent/consentdecision/", q=f" {written} ")) == set(decided)
    query = {"q": written, "game_id": game.pk}
    assert listed(admin_client, "/admin/consent/consentdecision/", **query) == decided[:1]


def test_an_event_is_found_by_each_of_its_ids(game: Game, admin_client: Client) -> None:
    row = event(game, 1, user_id="ada", anonymous_id="browser", device_id="phone")
    event(game, 2)
    for term in (row.message_id, "ada", "browser", "phone"):
        assert listed(admin_client, "/admin/audience/event/", q=term) == [row], term
    assert Event.objects.count() == 2


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("audience/event", {"game_id": "x"}),
        ("auditlog/logentry", {"resource_type": "x"}),
        ("postbacks/delivery", {"config__id__exact": "x"}),
        ("audience/person", {"game__id__exact": "x"}),
    ],
)
def test_a_filter_that_is_no_id_leads_back_to_the_list(admin_client: Client, path: str, query: dict[str, str]) -> None:
    answer = admin_client.get(f"/admin/{path}/", query)
    assert (answer.status_code, answer.headers.get("Location")) == (302, f"/admin/{path}/?e=1")


def test_an_entry_of_the_audit_log_is_found_by_its_row_and_its_account(game: Game, admin_client: Client) -> None:
    game.name = "Renamed"
    game.save()
    url = "/admin/auditlog/logentry/"
    assert [entry.object_repr for entry in listed(admin_client, url, q=str(game.pk))][:1] == ["Renamed"]
    assert "game" in admin_client.get(url).content.decode()
    kind = listed(admin_client, url, q=str(game.pk))[0].content_type_id
    assert {entry.content_type_id for entry in listed(admin_client, url, resource_type=kind)} == {kind}
