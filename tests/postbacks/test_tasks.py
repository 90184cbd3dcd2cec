"""The tasks that the beat schedule and the wake-ups name."""

import pytest
from celery import current_app
from django.conf import settings

from postbacks import tasks
from postbacks.networks import NETWORKS


def test_every_task_of_this_app_that_a_setting_names_exists() -> None:
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    named = {name for name in {*scheduled, settings.CONVERSIONS_READY_TASK} if name.startswith("postbacks.")}
    assert {"postbacks.tasks.fan_out", "postbacks.tasks.deliver", "postbacks.tasks.sweep_checks"} <= named
    assert named | {"postbacks.tasks.check_credentials"} <= set(current_app.tasks)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was woken, in order."""
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(tasks, "wake", lambda *word: found.append(word))
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(("more", "woken"), [(True, 1), (False, 0)])
def test_a_fan_out_that_does_not_finish_enqueues_itself(
    monkeypatch: pytest.MonkeyPatch, words: list[tuple[str, ...]], more: bool, woken: int
) -> None:
    monkeypatch.setattr(tasks.outbox, "drain", lambda: more)
    tasks.fan_out()
    assert words == [("postbacks.tasks.fan_out",)] * woken


@pytest.mark.django_db
def test_the_sweep_gives_every_network_a_task_of_its_own(words: list[tuple[str, ...]]) -> None:
    tasks.deliver()
    assert words == [("postbacks.tasks.deliver", kind) for kind in NETWORKS]
