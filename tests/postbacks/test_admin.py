"""Postbacks in the Django admin: read only, secrets masked, and one action."""

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.models import Game
from postbacks.delivery import sending
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
DELIVERIES = "admin:postbacks_delivery_changelist"
CONFIRMED = {"action": "send_again", "confirmed": "yes"}


@pytest.fixture
def delivered(sandbox: Sandbox, game: Game) -> Delivery:
    config = factories.config(game, goals=[{"event": "tutorial_done"}], previous_credential={"token": "the-old-token"})
    CredentialCheck.objects.create(
        game=game, network="tiktok", pixel_id=config.pixel_id, credential=config.credential, triggers=["purchase"]
    )
    player = factories.person(game)
    click = factories.touch(player)
    for _ in range(2):
        factories.conversion(player, touch=click)
    fan_out.fan_out_due()
    sandbox.state.add_fault("tiktok", "bad_request", 1)
    sending.drain(network="tiktok", max_in_flight=1)
    return Delivery.objects.get(state="delivered")


def staff(client: Client, *permissions: str) -> Client:
    user = get_user_model().objects.create_user("operator", "o@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_no_page_shows_a_credential_and_none_can_be_edited(admin_client: Client, delivered: Delivery) -> None:
    rows = {
        "postbackconfig": PostbackConfig.objects.get(),
        "credentialcheck": CredentialCheck.objects.get(),
        "delivery": delivered,
    }
    for name, row in rows.items():
        one = reverse(f"admin:postbacks_{name}_change", args=[row.pk])
        for url in (reverse(f"admin:postbacks_{name}_changelist"), one):
            page = admin_client.get(url)
            assert page.status_code == 200
            assert TIKTOK_ACCOUNTS.token not in page.content.decode()
            assert "gAAAA" not in page.content.decode()
            assert "the-old-token" not in page.content.decode()
        assert admin_client.post(one, {"pixel_id": "X"}).status_code == 403
        assert admin_client.get(reverse(f"admin:postbacks_{name}_add")).status_code == 403
        assert admin_client.get(reverse(f"admin:postbacks_{name}_delete", args=[row.pk])).status_code == 403
    assert "•••• set" in admin_client.get(reverse("admin:postbacks_postbackconfig_changelist")).content.decode()
    config = reverse("admin:postbacks_postbackconfig_change", args=[rows["postbackconfig"].pk])
    assert "tutorial_done" in admin_client.get(config).content.decode()


def test_the_page_of_a_delivery_lists_its_attempts(admin_client: Client, delivered: Delivery) -> None:
    page = admin_client.get(reverse("admin:postbacks_delivery_change", args=[delivered.pk])).content.decode()
    assert "Success" in page
    assert delivered.attempts.get().request_id in page


def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(admin_client: Client, delivered: Delivery) -> None:
    few = queries_of(lambda: admin_client.get(reverse(DELIVERIES)))
    player = factories.person(delivered.game)
    click = factories.touch(player)
    for _ in range(20):
        factories.conversion(player, touch=click)
    fan_out.fan_out_due()
    assert queries_of(lambda: admin_client.get(reverse(DELIVERIES))) == few


def test_send_again_queues_the_failed_and_says_why_not_of_the_others(admin_client: Client, delivered: Delivery) -> None:
    failed = Delivery.objects.get(state="failed")
    before = timezone.now()
    chosen = {"action": "send_again", "_selected_action": [str(failed.pk), str(delivered.pk)]}
    question = admin_client.post(reverse(DELIVERIES), chosen).content.decode()
    assert "Send these deliveries again?" in question
    assert f"{failed}: it is sent again" in question
    assert f"{delivered}: Only a failed delivery can be sent again" in question
    failed.refresh_from_db()
    assert failed.state == "failed"
    response = admin_client.post(reverse(DELIVERIES), {**chosen, "confirmed": "yes"}, follow=True)
    assert sorted(said(response)) == sorted(
        [
            f"{delivered}: Only a failed delivery can be sent again; this one is delivered.",
            f"{failed}: The delivery was queued again.",
        ]
    )
    failed.refresh_from_db()
    delivered.refresh_from_db()
    assert (failed.state, delivered.state) == ("waiting", "delivered")
    assert failed.next_attempt_at is not None
    assert failed.next_attempt_at >= before
    entry = LogEntry.objects.get(changes__has_key="delivery")
    assert (entry.changes, entry.actor.username) == ({"delivery": [str(failed.pk), "sent again"]}, "admin")
    assert entry.additional_data == {"game": failed.game_id}


def test_a_user_without_change_permission_cannot_send_again(client: Client, delivered: Delivery) -> None:
    failed = Delivery.objects.get(state="failed")
    viewer = staff(client, "view_delivery")
    assert "Send again" not in viewer.get(reverse(DELIVERIES)).content.decode()
    viewer.post(reverse(DELIVERIES), {**CONFIRMED, "_selected_action": [str(failed.pk)]})
    failed.refresh_from_db()
    assert failed.state == "failed"


def test_a_user_with_change_permission_can_send_again(client: Client, delivered: Delivery) -> None:
    failed = Delivery.objects.get(state="failed")
    operator = staff(client, "view_delivery", "change_delivery")
    operator.post(reverse(DELIVERIES), {**CONFIRMED, "_selected_action": [str(failed.pk)]})
    failed.refresh_from_db()
    assert failed.state == "waiting"
