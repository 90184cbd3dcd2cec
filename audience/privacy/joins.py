"""Deletes the joins and claim codes of an erased player. Their events are erased with all others."""

from collections.abc import Iterable

from django.db.models import Q

from audience.digest.event_ids import IdentityKey
from audience.digest.owned_ids import OwnedId
from audience.ids.values import canonical
from audience.models import ClaimCode, Game, Join
from audience.models.people import ANONYMOUS, DEVICE


def delete_of_player(game: Game, subject: IdentityKey, ids: Iterable[OwnedId]) -> None:
    """Delete what names one of the player's ids. With a browser that others share, only what names the player too."""
    own = {(subject[0], canonical(subject[1])), *(owned.key for owned in ids if not owned.is_shared)}
    browsers = [value for namespace, value in own if namespace == ANONYMOUS]
    players = [value for namespace, value in own if namespace not in (ANONYMOUS, DEVICE)]
    _delete(game, Q(anonymous_id__in=browsers) | Q(player_id__in=players))


def delete_of_browser(game: Game, anonymous_id: str) -> None:
    _delete(game, Q(anonymous_id=anonymous_id))


def _delete(game: Game, condition: Q) -> None:
    Join.objects.filter(condition, game=game).delete()
    ClaimCode.objects.filter(condition, game=game).delete()
