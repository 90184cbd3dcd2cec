"""The quarter hours in which players who clicked were active."""

from io import StringIO

import pytest
from django.core.management import call_command

from audience.games.keys import NewKey
from audience.models import ActiveQuarter
from tests.audience.immutable import ago, click, digest, identify

pytestmark = pytest.mark.django_db


def test_activity_from_before_an_upgrade_is_filled_in(key: NewKey) -> None:
    digest(
        key,
        click("anon-1", eventTimestamp=ago(minutes=300)),
        identify("player-1", "anon-1", eventTimestamp=ago(minutes=60)),
        identify("player-2", "anon-2", eventTimestamp=ago(minutes=60)),
    )
    stored = set(ActiveQuarter.objects.values_list("person_id", "starts_at"))
    assert len(stored) == 2
    ActiveQuarter.objects.all().delete()
    for _ in range(2):
        out = StringIO()
        call_command("fill_activity", stdout=out)
        assert "the activity of 1 player is stored." in out.getvalue()
        assert set(ActiveQuarter.objects.values_list("person_id", "starts_at")) == stored
