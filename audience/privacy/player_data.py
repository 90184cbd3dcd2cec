"""What is stored about a player by its ids, in rows that do not refer to the person (audience/digest/owned_ids.py)."""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from audience.digest.owned_ids import OwnedId
from audience.models import Rejection
from audience.models.people import ANONYMOUS
from consent.models import ConsentDecision


def decisions_of(game_id: int, ids: Iterable[OwnedId]) -> QuerySet[ConsentDecision]:
    """Return the consent decisions of the player's anonymous ids, made while the player owned them."""
    condition = Q(pk__in=[])
    for owned in ids:
        if owned.key[0] == ANONYMOUS and owned.periods:
            condition |= Q(anonymous_id=owned.key[1]) & owned.in_periods("decided_at")
    return ConsentDecision.objects.filter(condition, game_id=game_id)


def rejections_of(game_id: int, ids: Iterable[OwnedId]) -> QuerySet[Rejection]:
    """Return the rejections that name the player by an unshared id, or only by ids that the player owned then."""
    owned_ids = list(ids)
    values = [spelling for owned in owned_ids for spelling in owned.spellings]
    condition = Q(subjects__overlap=[spelling for owned in owned_ids if owned.is_own for spelling in owned.spellings])
    for owned in owned_ids:
        if owned.is_shared and owned.periods:
            only_owned = Q(subjects__overlap=owned.spellings, subjects__contained_by=values)
            condition |= only_owned & owned.in_periods("received_at")
    return Rejection.objects.filter(condition, game=game_id)
