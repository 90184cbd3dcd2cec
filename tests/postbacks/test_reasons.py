"""The one table of reasons: complete, and in the order in which the gate tests them."""

from dataclasses import fields

from audience.models import Reason
from postbacks.outbox import reasons


def test_every_reason_has_every_part() -> None:
    assert set(reasons.ORDER) == set(Reason)
    assert len(reasons.ORDER) == len(Reason)
    optional = {"total"}
    assert [
        (text.reason, field.name)
        for text in reasons.TEXTS
        for field in fields(text)
        if field.name not in optional and not getattr(text, field.name)
    ] == []


def test_a_sum_has_the_reasons_sentence_unless_the_table_has_another() -> None:
    assert reasons.text_of("consent").sentence_of_total == "The player did not consent"
    assert reasons.text_of("other_network").sentence_of_total == "The ad click was another network's"
