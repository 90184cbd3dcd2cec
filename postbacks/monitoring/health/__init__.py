"""The health of postbacks, derived from the rows of the last 24 hours and not stored.

`judge_configs` counts (postbacks/monitoring/health/counting.py), `judge` turns counts into a Judgement
(postbacks/monitoring/health/judgement.py).
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from audience.database import clock
from postbacks.models import PostbackConfig
from postbacks.monitoring.health.counting import count
from postbacks.monitoring.health.judgement import judge
from postbacks.monitoring.health.types import Health, HealthCounts, Indicator, Judgement

__all__ = ["HealthCounts", "Health", "Indicator", "Judgement", "judge", "judge_configs"]


def judge_configs(configs: Iterable[PostbackConfig], *, now: datetime | None = None) -> dict[uuid.UUID, Judgement]:
    """Return {config id: Judgement}, in two queries for the whole list."""
    counted = count([config.pk for config in configs], now=now or clock.now())
    return {pk: judge(counts) for pk, counts in counted.items()}
