"""Random orders of arrival of a history's messages, and storing them in batches."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from hypothesis import strategies as st

from audience.intake.dialects import immutable
from audience.intake.storing.accept import accept
from audience.models import ApiKey, Dialect


@dataclass(frozen=True, slots=True)
class Arrival:
    """Positions in the history (a retried one occurs twice), and what follows each: nothing (0), the batch ends (1), or
    it ends and is digested (2)."""

    order: Sequence[int]
    ends: Sequence[int]


def arrivals(count: int, retried: list[int]) -> st.SearchStrategy[Arrival]:
    order = st.permutations([*range(count), *retried])
    ends = st.lists(st.integers(0, 2), min_size=count + len(retried), max_size=count + len(retried))
    return st.builds(Arrival, order, ends)


def message_id(number: int) -> str:
    return str(uuid.UUID(int=number + 1))


def store(key: ApiKey, batch: list[dict[str, Any]]) -> None:
    """Store a batch as the view does, like config/demo/history.py."""
    if not batch:
        return
    now = timezone.now()
    messages, rejected = immutable.parse(batch, now=now)
    assert {error.code for refusal in rejected for error in refusal.errors} <= {"DUPLICATE_MESSAGE_ID"}
    accept(key=key, dialect=Dialect.IMMUTABLE, messages=messages, rejected=rejected, received_at=now)
