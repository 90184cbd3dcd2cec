"""The tasks that the beat schedule and the wake-ups name."""

from typing import Any

import pytest
from celery import current_app
from django.conf import settings

from postbacks import tasks


def test_every_task_of_this_app_that_a_setting_names_exists() -> None:
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    named = {name for name in {*scheduled, settings.CONVERSIONS_READY_TASK} if name.startswith("postbacks.")}
    assert named == {"postbacks.tasks.fan_out", "postbacks.tasks.deliver", "postbacks.tasks.sweep_checks"}
    assert named | {"postbacks.tasks.check_credentials"} <= set(current_app.tasks)


@pytest.mark.parametrize(("more", "woken"), [(True, 1), (False, 0)])
@pytest.mark.parametrize(("task", "room"), [("fan_out", tasks.outbox), ("deliver", tasks.delivery)])
def test_a_task_that_leaves_work_behind_asks_to_run_again(
    monkeypatch: pytest.MonkeyPatch, task: str, room: Any, more: bool, woken: int
) -> None:
    words: list[str] = []
    monkeypatch.setattr(room, "drain", lambda: more)
    monkeypatch.setattr(tasks, "wake", words.append)
    getattr(tasks, task)()
    assert words == [f"postbacks.tasks.{task}"] * woken
