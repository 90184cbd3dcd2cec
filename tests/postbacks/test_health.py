"""The health of a postback comes from its attempts of the last 24 hours."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Game
from postbacks import health
from postbacks.deciding import outbox
from postbacks.health import Health
from postbacks.models import DeliveryAttempt, PostbackConfig
from postbacks.sandbox.server import Sandbox
from postbacks.sending import delivery
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game)


def attempted(config: PostbackConfig, *verdicts: str, hours_ago: float = 1) -> None:
    """One delivery with these attempts, a minute apart; 'open' for one still on its way."""
    row = factories.delivery(config)
    first = timezone.now() - timedelta(hours=hours_ago)
    for number, verdict in enumerate(verdicts, 1):
        at = first + timedelta(minutes=number)
        is_open = verdict == "open"
        DeliveryAttempt.objects.create(
            delivery=row,
            config=config,
            number=number,
            config_version=1,
            started_at=at,
            finished_at=None if is_open else at,
            verdict="" if is_open else verdict,
        )


@pytest.mark.parametrize(
    ("verdicts", "hours_ago", "expected"),
    [
        ((), 1, Health.NO_ACTIVITY),
        (("success",), 25, Health.NO_ACTIVITY),
        (("credential",), 25, Health.NO_ACTIVITY),
        (("success",), 1, None),
        (("open",), 1, None),
        (("transient",), 1, None),
        (("credential",), 1, Health.CREDENTIAL_FAILURES),
        (("success", "credential"), 1, Health.CREDENTIAL_FAILURES),
        (("credential", "open"), 1, Health.CREDENTIAL_FAILURES),
        (("credential", "transient"), 1, Health.CREDENTIAL_FAILURES),
        (("credential", "success"), 1, None),
        (("credential", "payload"), 1, None),
    ],
)
def test_it_is_judged_by_the_newest_answer_about_the_credential(
    config: PostbackConfig, verdicts: tuple[str, ...], hours_ago: float, expected: Health | None
) -> None:
    if verdicts:
        attempted(config, *verdicts, hours_ago=hours_ago)
    assert health.of([config]) == {config.pk: expected}


def test_a_rotation_alone_does_not_clear_the_warning(config: PostbackConfig) -> None:
    attempted(config, "credential")
    config.validated_at = timezone.now()
    config.save()
    assert health.of([config]) == {config.pk: Health.CREDENTIAL_FAILURES}


def test_the_words_are_those_of_the_pages() -> None:
    assert Health.CREDENTIAL_FAILURES.label == "Credential failures detected"
    assert Health.NO_ACTIVITY.label == "No recent activity"


def test_a_whole_list_takes_one_query(game: Game, django_assert_num_queries: Any) -> None:
    rows = [factories.config(game, pixel_id=f"PIXEL{number:015}") for number in range(5)]
    attempted(rows[0], "credential")
    attempted(rows[1], "success")
    with django_assert_num_queries(1):
        found = health.of(rows)
    assert list(map(found.get, [row.pk for row in rows])) == [
        Health.CREDENTIAL_FAILURES,
        None,
        *[Health.NO_ACTIVITY] * 3,
    ]


def test_over_the_wire_a_revoked_token_warns_until_the_next_success(sandbox: Sandbox, config: PostbackConfig) -> None:
    player = factories.person(config.game)
    click = factories.touch(player)
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    for expected in (Health.CREDENTIAL_FAILURES, None):
        factories.conversion(player, touch=click)
        outbox.fan_out_due()
        delivery.drain(lanes=0)
        assert health.of([config]) == {config.pk: expected}
