"""Clicks that a browser repeats for its next player, whom nothing is attributed to by them.

After a sign-out the web SDK of Immutable states the click that opened the tab again, with a new anonymous id and, after
the next sign-in, with that player's user id. A click that a person only has beside the URLs of other pages is left out
if another named player stated it earlier. Unnamed ones do not count: a backend may send what a guest clicked.
The touches are stored like others, since who was named may change: the result does not depend on the order of arrival.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Exists, OuterRef

from audience.models import Game, Identity, Touch
from audience.models.people import USER


def persons_repeating(game: Game, person_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Return the persons who repeat a click of these persons."""
    stated = Touch.objects.filter(person_id__in=list(person_ids)).exclude(click_id="")
    repeated = Touch.objects.filter(game=game, is_repeated=True, click_id__in=stated.values("click_id"))
    return set(repeated.values_list("person_id", flat=True))


def left_out(game: Game, touches: Iterable[Touch]) -> set[int]:
    """Return the ids of those of the touches that are left out."""
    repeated = [touch for touch in touches if touch.is_repeated and touch.click_id]
    if not repeated:
        return set()
    others: dict[tuple[str, str], list[Touch]] = defaultdict(list)
    rows = Touch.objects.filter(game=game, click_id__in={touch.click_id for touch in repeated})
    for row in rows.filter(Exists(Identity.objects.filter(person=OuterRef("person"), namespace=USER))):
        others[row.network, row.click_id].append(row)
    return {
        touch.pk
        for touch in repeated
        for other in others[touch.network, touch.click_id]
        if other.person_id != touch.person_id
        and (other.clicked_at, other.message_id) < (touch.clicked_at, touch.message_id)
    }
