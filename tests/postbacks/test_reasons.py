"""The table of reasons."""

from dataclasses import fields

from audience.models import Reason
from postbacks.outbox import reasons


def test_every_reason_has_every_part() -> None:
    assert set(reasons.ORDER) == set(Reason)
    assert [
        (reason, field.name)
        for reason, text in reasons.TEXTS.items()
        for field in fields(text)
        if field.name != "total" and not getattr(text, field.name)
    ] == []
