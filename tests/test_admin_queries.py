"""Every list of the admin: as many queries for fifty rows as for five, all models, no secrets."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audience.accounts import addresses
from audience.accounts.members import invite
from audience.accounts.tokens import create_game_token, create_user_token
from audience.admin.operations import MAX_SELECTED
from audience.games.keys import create_key
from audience.models import (
    ApiKey,
    ApiToken,
    Batch,
    ClaimCode,
    DescribedEvent,
    Device,
    Erasure,
    ExchangeRate,
    FailedWork,
    Game,
    GoalEvent,
    Group,
    Heartbeat,
    Identity,
    Join,
    Membership,
    ModeledMatch,
    Ownership,
    PrunePosition,
    Role,
    Scope,
    Suppression,
    UncountedBatches,
)
from audience.models.accounts import AccountSettings, SignInPace
from audience.models.erasure import subject_hash
from consent.models import ConsentDecision
from postbacks.models import (
    AdCost,
    Advert,
    Alert,
    AlertChoice,
    AlertHook,
    ConfigVersion,
    CostUpload,
    CredentialCheck,
    Flow,
    GameGoal,
    HookMessage,
    Notice,
    Replay,
    ServerTrouble,
    SteamUpload,
    SteamVisits,
)
from tests import factories, hub
from tests.audience.test_hub_events import event, rejection

pytestmark = pytest.mark.django_db
SECRETS = ("the-old-token", "hook-secret", "fcm-secret", "a-typed-token", "gAAAA", "hidden-path")
# Seen within their parent: the ids of a person and its groups, the attempts of a delivery.
WITHIN = {"identity", "groupmembership", "deliveryattempt"}
# The encrypted answers to requests with an Idempotency-Key, which are kept for a day.
WITHIN |= {"idempotentrequest"}
# Makes processes read the suppressions again.
WITHIN |= {"suppressionversion"}
# What charts read: sums of rows that are listed.
SUMS = {"requestcount", "conversioncount", "placeholdercount", "clickmacrocount", "attemptcount"}
# What the reports of campaigns read: figures that can be computed again from rows that are listed.
SUMS |= {"activequarter", "advertquarter", "advertday", "cohortquarter", "cohortday", "campaignid"}
# What the event catalog reads: counts of events that are listed.
SUMS |= {"eventcount", "sendercount", "propertycount", "valueproblemcount"}
# What the pages of tracking links read: counts of clicks.
SUMS |= {"linkcount"}
OURS = [model for app in ("audience", "postbacks", "consent") for model in apps.get_app_config(app).get_models()]
LISTED = [model for model in OURS if model._meta.model_name not in WITHIN | SUMS]


def one_more_of_everything(number: int) -> None:
    """A game with a row in every table."""
    game, user = factories.game(), hub.user(f"member-{number}")
    now = timezone.now()
    Membership.objects.create(game=game, user=user, role=Role.ADMIN)
    invite(game=game, email=f"new-{number}@studio.example", role=Role.VIEWER, invited_by=user)
    key = create_key(game=game, name=f"key {number}", created_by=user).key
    create_game_token(game=game, name=f"CI {number}", role=Role.ADMIN, scopes=[Scope.READ], created_by=user)
    create_user_token(user=user, name=f"laptop {number}", scopes=[Scope.READ])
    addresses.request_change(user=user, email=f"newer-{number}@studio.example")
    AccountSettings.objects.create(user=user, time_zone="Asia/Tokyo")
    SignInPace.objects.create(account=f"{number:064}", attempts=3, last_at=now, free_at=now)
    FailedWork.objects.create(game=game, queue="fan_out", row=str(number), error="ValueError")
    GoalEvent.objects.create(game=game, name="tutorial_done")
    person = factories.person(game, user=f"player-{number}")
    shared = factories.identity(person, value=f"browser-{number}", owners="several")
    Ownership.objects.create(game=game, identity=shared, user=person.identities.first(), first_at=now, last_at=now)
    click = factories.touch(person)
    config = factories.config(game, previous_credential={"token": "the-old-token"}, created_by=user)
    delivery = factories.delivery(config, conversion=factories.conversion(person, touch=click))
    factories.attempt(delivery)
    Device.objects.create(game=game, person=person, device_id=f"device-{number}", token="fcm-secret")
    Group.objects.create(game=game, group_id="guild").members.add(person)
    event(game, number + 1, user_id=f"player-{number}")
    rejection(game, number + 1)
    Batch.objects.create(
        game=game, key=key, dialect="immutable", received_at=now, accepted=1, duplicates=0, rejected=0, event_ids=[]
    )
    erasure = Erasure.objects.create(game=game, namespace="user", subject_hash=subject_hash(game.pk, "gone"))
    Suppression.objects.create(game=game, erasure=erasure, hashes=[subject_hash(game.pk, "user:gone")])
    ConsentDecision.objects.create(
        game_id=game.pk, anonymous_id=f"a-{number}", level="full", source="web", decided_at=now
    )
    ConfigVersion.objects.create(
        config=config, number=1, pixel_id=config.pixel_id, triggers=[], enabled=True, change="Created", set_by=user
    )
    CredentialCheck.objects.create(
        game=game,
        network="tiktok",
        pixel_id="CABC",
        credential={"token": "a-typed-token"},
        triggers=[],
        requested_by=user,
    )
    Flow.objects.create(network="tiktok", pixel_id=f"C{number}")
    GameGoal.objects.create(game=game, name="Level 10", event="level_up", created_by=user)
    Replay.objects.create(game=game, config=config, requested_by=user)
    alert = Alert.objects.create(game=game, config=config, health="on_hold")
    AlertChoice.objects.create(game=game, user=user)
    hook = AlertHook.objects.create(
        game=game,
        url=f"https://chat.example/hidden-path/{number}",
        secret={"key": "hook-secret"},
        previous_secrets={"2030-01-01T00:00:00+00:00": "hook-secret"},
        created_by=user,
    )
    Notice.objects.create(game=game, alert=alert, kind="opened", hook=hook)
    HookMessage.objects.create(game=game, hook=hook, event="conversion.failed", row=delivery.pk)
    Notice.objects.create(game=game, alert=alert, kind="opened", user=user)
    FailedWork.objects.create(game=game, queue="notice", row=str(number), set_aside_at=now)
    Heartbeat.objects.create(kind="web", name=f"host:{number}", started_at=now, seen_at=now)
    PrunePosition.objects.create(step=f"step {number}", last_id=number)
    ad = {"game": game, "network": "tiktok", "campaign": f"campaign-{number}"}
    Advert.objects.create(**ad, ad_group="broad", ad="video")
    AdCost.objects.create(**ad, day=now.date(), spend=12, currency="USD")
    file = {"name": "costs.csv", "rows": 1, "replaced": 0, "first_day": now.date(), "last_day": now.date()}
    CostUpload.objects.create(game=game, uploaded_at=now, **file)
    SteamVisits.objects.create(game=game, day=now.date(), campaign=f"campaign-{number}", source="tiktok", visits=12)
    SteamUpload.objects.create(game=game, uploaded_at=now, **{**file, "name": "steam.csv"})
    ExchangeRate.objects.create(game=game, currency="EUR", rate=Decimal("1.1"))
    factories.link(game, slug=f"link-of-{number}", created_by=user)
    DescribedEvent.objects.create(game=game, name="won", description="A match was won.", updated_by=user)
    joined = {"game": game, "anonymous_id": f"browser-{number}", "player_id": f"player-{number}"}
    Join.objects.create(**joined, kind="steam", key=f"steam:{number}")
    ClaimCode.objects.create(**joined, digest=f"{number:064}", expires_at=now)
    launched = factories.conversion(factories.person(game), trigger="game_launch")
    ModeledMatch.objects.create(game=game, conversion=launched, launched_at=launched.event_at, result="shared")
    UncountedBatches.objects.create(game=game, batch_ids=[number])
    said = {"title": "No beat", "sentence": "No beat has reported.", "next_step": "Start the beat."}
    ServerTrouble.objects.create(kind="no_beat", began_at=now, seen_at=now, ended_at=now, next_mail_at=now, **said)


def lists() -> Iterator[tuple[str, str]]:
    for model in (*LISTED, LogEntry):
        yield str(model._meta.label), reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def asked(client: Client) -> dict[str, int]:
    """Queries of every list, by its model."""
    counts = {}
    for label, url in lists():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get(url)
        assert answer.status_code == 200, label
        counts[label] = len(queries)
        page = answer.content.decode()
        assert [secret for secret in SECRETS if secret in page] == [], label
    return counts


@pytest.mark.long
def test_every_list_takes_as_many_queries_for_fifty_rows_as_for_five(admin_client: Client) -> None:
    for number in range(5):
        one_more_of_everything(number)
    asked(admin_client)  # content types are read once a process
    few = asked(admin_client)
    for number in range(5, 50):
        one_more_of_everything(number)
    assert asked(admin_client) == few


def test_every_table_of_the_product_is_in_the_admin() -> None:
    assert [model for model in LISTED if model not in admin.site._registry] == []


def test_every_row_opens_without_a_secret_and_leads_to_the_hub_and_back(admin_client: Client) -> None:
    one_more_of_everything(1)
    leading = set()
    for model in LISTED:
        row = model._default_manager.first()
        assert row is not None, model
        answer = admin_client.get(_change(row))
        assert answer.status_code == 200, model
        page = answer.content.decode()
        assert [secret for secret in SECRETS if secret in page] == [], model
        if "View in the Hub" in page:
            target = answer.context["absolute_url"]
            assert admin_client.get(target).status_code == 200, model
            leading.add(model._meta.model_name)
    assert {"game", "apikey", "person", "conversion", "postbackconfig", "delivery", "alert", "replay"} <= leading


def _change(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def test_staff_are_led_from_the_hub_to_the_row_in_the_admin(game: Game, admin_client: Client) -> None:
    person = factories.person(game, user="u")
    conversion = factories.conversion(person)
    for path, row in (("", game), (f"people/{person.pk}/", person), (f"conversions/{conversion.pk}/", conversion)):
        assert f'href="{_change(row)}"' in admin_client.get(f"/g/{game.slug}/{path}").content.decode()
    for client in (hub.member(game, Role.ADMIN), _staff(game)):
        assert "Open in admin" not in client.get(f"/g/{game.slug}/").content.decode()


def _staff(game: Game) -> Client:
    """Staff without a right in the admin."""
    user = hub.user("operator", is_staff=True)
    Membership.objects.create(game=game, user=user, role=Role.VIEWER)
    return hub.signed_in(user)


def chosen(*rows: Model, action: str, **more: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}


def test_keys_are_revoked_once_confirmed(game: Game, admin_client: Client) -> None:
    key, other = create_key(game=game, name="web").key, create_key(game=game, name="backend").key
    url = reverse("admin:audience_apikey_changelist")
    question = admin_client.post(url, chosen(key, action="revoke")).content.decode()
    assert "Revoke these keys?" in question
    assert "web" in question
    assert not ApiKey.objects.exclude(revoked_at=None).exists()
    admin_client.post(url, chosen(key, action="revoke", confirmed="yes"))
    key.refresh_from_db()
    other.refresh_from_db()
    assert key.revoked_at is not None
    assert timezone.now() - key.revoked_at < timedelta(minutes=1)
    assert other.revoked_at is None
    entry = LogEntry.objects.filter(object_pk=str(key.pk)).latest()
    assert (entry.actor.username, list(entry.changes)) == ("admin", ["revoked_at"])


def test_tokens_are_revoked_once_confirmed(game: Game, admin_client: Client) -> None:
    values: dict[str, Any] = {"game": game, "role": Role.ADMIN, "scopes": [Scope.READ]}
    token, other = (create_game_token(name=name, **values).token for name in ("CI", "Export"))
    url = reverse("admin:audience_apitoken_changelist")
    assert "Revoke these tokens?" in admin_client.post(url, chosen(token, action="revoke")).content.decode()
    assert not ApiToken.objects.exclude(revoked_at=None).exists()
    admin_client.post(url, chosen(token, action="revoke", confirmed="yes"))
    assert list(ApiToken.objects.exclude(revoked_at=None)) == [token]
    entry = LogEntry.objects.filter(object_pk=str(token.pk), content_type__model="apitoken").latest()
    assert (entry.actor.username, list(entry.changes)) == ("admin", ["revoked_at"])
    page = admin_client.get(_change(other)).content.decode()
    assert other.digest not in page
    assert 'name="name"' not in page
    admin_client.post(_change(other), {"name": "Mine", "role": "viewer"})
    other.refresh_from_db()
    assert other.name == "Export"


def test_players_are_erased_once_confirmed(game: Game, admin_client: Client) -> None:
    named, nameless = factories.person(game, user="player-1"), factories.person(game)
    url = reverse("admin:audience_person_changelist")
    assert "Erase these players?" in admin_client.post(url, chosen(named, action="erase")).content.decode()
    assert not Erasure.objects.exists()
    answer = admin_client.post(url, chosen(named, nameless, action="erase", confirmed="yes"), follow=True)
    erasure = Erasure.objects.get()
    assert (erasure.namespace, erasure.subject, erasure.requested_by) == ("user", "player-1", "admin")
    assert f"Player {nameless.pk} cannot be erased because it has no user ID or anonymous ID" in answer.content.decode()


def test_an_action_accepts_a_hundred_rows_at_most(game: Game, admin_client: Client) -> None:
    rows = [factories.person(game, user=f"player-{number}") for number in range(MAX_SELECTED + 1)]
    url = reverse("admin:audience_person_changelist")
    everything = chosen(rows[0], action="erase", select_across="1", index="0")
    answer = admin_client.post(url, everything, follow=True)
    assert f"Select at most {MAX_SELECTED} at a time." in answer.content.decode()
    assert Identity.objects.count() == MAX_SELECTED + 1
    assert not Erasure.objects.exists()
