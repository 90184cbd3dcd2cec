"""Reminders of ending keys: recipients, times, and no repeats."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail

from audience.games.keys import NewKey, Restrictions, change_key, create_key, revoke_key, rotate_key
from audience.models import ApiKey, Game, Membership, Role
from postbacks.hub.overview import attention, backlog
from postbacks.hub.overview.attention import AttentionItem
from postbacks.models import AlertChoice, AlertFrequency, Notice
from postbacks.monitoring.alerts import notices
from postbacks.monitoring.alerts.key_expiry import write_reminders
from tests import hub

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
END = datetime(2026, 12, 29, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as found:
        yield found


@pytest.fixture
def admin(game: Game) -> Any:
    user: Any = hub.user("ada")
    Membership.objects.create(game=game, user=user, role=Role.ADMIN)
    return user


@pytest.fixture
def ending(game: Game) -> NewKey:
    return create_key(game=game, name="Contractor", restrictions=Restrictions(expires_at=END))


def items(game: Game) -> list[AttentionItem]:
    """What the Overview says of keys; a clock that is moved has it say more of the server."""
    found = attention.items(game, [], backlog.read_backlog(game, []))
    return [item for item in found if item.title == "Key ends soon"]


def titles(game: Game) -> list[tuple[str, str]]:
    return [(item.title, item.subject) for item in items(game)]


def test_admins_get_one_mail_a_week_before_a_key_ends(game: Game, admin: Any, ending: NewKey, clock: Any) -> None:
    Membership.objects.create(game=game, user=hub.user("marie"), role=Role.MARKETER)
    clock.move_to(END - timedelta(days=7, seconds=1))
    assert write_reminders() == 0
    clock.move_to(END - timedelta(days=7))
    assert [write_reminders(), write_reminders()] == [1, 0]
    notices.deliver_notices()

    (sent,) = mail.outbox
    assert sent.to == [admin.email]
    assert sent.subject == "[Afterclick] Sky Raiders: API key Contractor ends on Dec 29, 2026, 00:00 UTC"
    assert f"The key {ending.key.prefix}… stops working on Dec 29, 2026, 00:00 UTC." in sent.body
    assert "It was never used." in sent.body
    assert f"/g/{game.slug}/keys/" in sent.body
    assert ending.value not in sent.body
    assert Notice.objects.get().state == "sent"


def test_a_key_that_ends_within_a_week_of_its_creation_has_a_reminder_a_day_before(
    game: Game, admin: Any, clock: Any
) -> None:
    create_key(game=game, name="k", restrictions=Restrictions(expires_at=NOW + timedelta(days=3)))
    assert write_reminders() == 0
    clock.move_to(NOW + timedelta(days=2))
    assert write_reminders() == 1


def test_a_postponed_end_has_a_new_reminder(game: Game, admin: Any, ending: NewKey, clock: Any) -> None:
    clock.move_to(END - timedelta(days=7))
    assert write_reminders() == 1
    later = END + timedelta(days=30)
    change_key(key=ApiKey.objects.get(), name="Contractor", restrictions=Restrictions(expires_at=later))
    assert write_reminders() == 0
    clock.move_to(later - timedelta(days=7))
    assert write_reminders() == 1


@pytest.mark.parametrize("change", ["revoked", "rotated", "without an end", "no mail"])
def test_a_settled_end_has_no_reminder(game: Game, admin: Any, ending: NewKey, clock: Any, change: str) -> None:
    if change == "revoked":
        revoke_key(key=ending.key)
    elif change == "rotated":
        rotate_key(key=ending.key, overlap=timedelta(days=7))
        ApiKey.objects.exclude(pk=ending.key.pk).delete()
    elif change == "without an end":
        change_key(key=ending.key, name="k", restrictions=Restrictions())
    else:
        AlertChoice.objects.create(game=game, user=admin, told=AlertFrequency.NEVER)
    clock.move_to(END - timedelta(days=6))
    assert write_reminders() == 0
    assert not Notice.objects.exists()


def test_a_rotated_keys_successor_has_its_restrictions_and_last_day(game: Game, clock: Any) -> None:
    given = Restrictions(events=["a"], origins=["https://a.example"], addresses=["192.0.2.7"], expires_at=END)
    old = create_key(game=game, name="k", restrictions=given)
    new = rotate_key(key=old.key, overlap=timedelta(days=7)).key
    assert Restrictions.of(new) == given
    assert (new.remind_at, new.expires_at) == (END - timedelta(days=7), END)
    assert old.key.expires_at == NOW + timedelta(days=7)


def test_an_overlap_does_not_lengthen_a_keys_own_end(game: Game) -> None:
    soon = NOW + timedelta(hours=5)
    old = create_key(game=game, name="k", restrictions=Restrictions(expires_at=soon))
    rotate_key(key=old.key, overlap=timedelta(days=7))
    assert ApiKey.objects.get(pk=old.key.pk).expires_at == soon


def test_the_overview_shows_the_end_in_its_last_week(game: Game, ending: NewKey, clock: Any) -> None:
    clock.move_to(END - timedelta(days=8))
    assert titles(game) == []
    clock.move_to(END - timedelta(days=6))
    assert titles(game) == [("Key ends soon", "Contractor")]
    (item,) = items(game)
    assert item.cause == f"The key {ending.key.prefix}… ends in 6\xa0days and was never used."
    clock.move_to(END)
    assert titles(game) == []
