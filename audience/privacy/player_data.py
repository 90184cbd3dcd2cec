"""What is stored about a player by its ids, in rows that do not refer to the person (audience/digest/owned_ids.py)."""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from audience.digest.owned_ids import OwnedId
from audience.models import Rejection
from audience.models.people import ANONYMOUS
from consent.models import ConsentDecision


def decisions_of(game_id: int, ids: Iterable[OwnedId]) -> QuerySet[ConsentDecision]:
    """Return the consent decisions of the player's anonymous ids, made while it owned them."""
    condition = Q(pk__in=[])
    for one in ids:
        if one.key[0] == ANONYMOUS and one.periods:
            condition |= Q(anonymous_id=one.key[1]) & one.at("decided_at")
    return ConsentDecision.objects.filter(condition, game_id=game_id)


def rejections_of(game_id: int, ids: Iterable[OwnedId]) -> QuerySet[Rejection]:
    """Return the refused messages that name the player, or nobody but an id that it owned at their receipt."""
    rows = list(ids)
    values = [form for one in rows for form in one.forms]
    condition = Q(subjects__overlap=[form for one in rows if one.is_own for form in one.forms])
    for one in rows:
        if one.is_shared and one.periods:
            only = Q(subjects__overlap=one.forms, subjects__contained_by=values)
            condition |= only & one.at("received_at")
    return Rejection.objects.filter(condition, game=game_id)
