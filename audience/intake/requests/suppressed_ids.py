"""Which messages are refused because their player was erased with a suppression (audience/privacy/suppression.py).

The ids are loaded with a key, and kept until they change: no message causes a query, and those of a game without
suppressions cost nothing.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from django.db.models import F

from audience.ids.values import canonical
from audience.intake.messages.message import Message, Rejected
from audience.intake.requests import prefetch
from audience.models import ApiKey, Erasure, Game, Suppression, SuppressionVersion
from audience.models.erasure import ReceiptKeyLost, receipt_key, subject_hashes
from audience.models.people import ANONYMOUS, USER

logger = structlog.get_logger(__name__)

NAMESPACES = (USER, ANONYMOUS)


@dataclass(frozen=True, slots=True)
class SuppressedIds:
    """The suppressed ids of a game as {keyed hash: the erasure}; `key` is that of its receipts."""

    game_id: int
    key: str
    erasures: Mapping[str, UUID]

    def erasure_of(self, message: Message) -> UUID | None:
        """Return the erasure of the player whom the message names; None if there is none."""
        linked = [(name, value) for name, value in message.links if name in NAMESPACES]
        return self._find([(USER, message.user_id), (ANONYMOUS, message.anonymous_id), *linked])

    def includes(self, values: Iterable[str]) -> bool:
        """Whether one of the values is a suppressed id of any namespace."""
        return self._find((namespace, value) for value in values for namespace in NAMESPACES) is not None

    def includes_anonymous(self, value: str) -> bool:
        """Whether this is a suppressed anonymous id."""
        return self._find([(ANONYMOUS, value)]) is not None

    def _find(self, ids: Iterable[tuple[str, str]]) -> UUID | None:
        texts = [f"{namespace}:{canonical(value)}" for namespace, value in ids if value]
        hashes = subject_hashes(self.game_id, texts, key=self.key).values()
        return next((self.erasures[hashed] for hashed in hashes if hashed in self.erasures), None)


# By game, with the version at which they were read.
_loaded: dict[int, tuple[int, SuppressedIds | None]] = {}


@dataclass(slots=True)
class _RefusedMessages:
    """Messages that are not counted in their erasure yet, by game and erasure. `is_scheduled`: they will be."""

    counts: Counter[tuple[int, UUID]] = field(default_factory=Counter)
    is_scheduled: bool = False


_refused = _RefusedMessages()
_lock = threading.Lock()


def attach(keys: Iterable[ApiKey]) -> None:
    """Set the suppressed ids of the keys' games. The keys have been read with the version of these."""
    for key in keys:
        version = getattr(key.game, "suppression_version", None)
        key.game.suppressed_ids = _of(key.game, version.number) if version else None


def read(game: Game) -> SuppressedIds | None:
    """Return the suppressed ids of a game, whose version is read now; None if it has none."""
    number = SuppressionVersion.objects.filter(game=game).values_list("number", flat=True).first()
    return None if number is None else _of(game, number)


def _of(game: Game, version: int) -> SuppressedIds | None:
    """Return the suppressed ids at this version or a later one."""
    loaded = _loaded.get(game.pk)
    if loaded is None or loaded[0] != version:
        loaded = _loaded[game.pk] = (version, _load(game.pk))
    return loaded[1]


def _load(game_id: int) -> SuppressedIds | None:
    rows = Suppression.objects.filter(game=game_id).values_list("hashes", "erasure")
    erasures = {hashed: erasure for hashes, erasure in rows for hashed in hashes}
    try:
        key = receipt_key(game_id)
    except ReceiptKeyLost:
        # Events are accepted, since nothing tells which to refuse.
        logger.exception("receipt_key_lost", game_id=game_id)
        return None
    return SuppressedIds(game_id, key, erasures) if erasures and key else None


def count(game_id: int, rejected: Iterable[Rejected]) -> None:
    """Count refused messages in their erasures, once they are stored. Does not block the event loop."""
    found = Counter((game_id, row.suppressed_by) for row in rejected if row.suppressed_by)
    if not found:
        return
    with _lock:
        _refused.counts.update(found)
        is_scheduled, _refused.is_scheduled = _refused.is_scheduled, True
    if not prefetch.on_event_loop():
        _save_counts()
    elif not is_scheduled:
        prefetch.prefetch(_save_counts)


def _save_counts() -> None:
    with _lock:
        counts, _refused.counts, _refused.is_scheduled = _refused.counts, Counter(), False
    try:
        for (game_id, erasure), number in list(counts.items()):
            rows = Erasure.objects.filter(game=game_id, pk=erasure)
            rows.update(suppressed_messages=F("suppressed_messages") + number)
            del counts[game_id, erasure]
    except Exception:
        # The others are counted with the next refused message.
        with _lock:
            _refused.counts.update(counts)
        raise
