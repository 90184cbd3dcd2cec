"""The calls that every SDK sends, and checks of what the server stores: each event once, all of one person."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.journeys.product import Product
from tests.sdk.proxy import CUT, LIMITED, PASS, UNAVAILABLE, FlakyProxy

COINS = 250
# The faults of the first attempts of each request, by name.
FAULTS: Mapping[str, Sequence[str]] = {
    "no-fault": (),
    "unavailable": (UNAVAILABLE, UNAVAILABLE),
    "limited": (LIMITED,),
    "cut": (CUT,),
}
PLAN = "pilot"
# (kind, name) of the events that the calls of one player store, and their number.
STORED = Counter(
    {
        ("identify", ""): 1,
        ("track", "Level Started"): 1,
        ("page", "Shop"): 1,
        ("screen", "Boss Room"): 1,
        ("group", ""): 1,
        ("alias", ""): 1,
        ("track", "Coin Collected"): COINS,
    }
)


@dataclass(frozen=True, slots=True)
class PlayerCalls:
    """The calls of one player. `stored` counts the events by (kind, name), since some SDKs lack a call."""

    user_id: str
    stored: Counter[tuple[str, str]] = field(default_factory=lambda: Counter(STORED))

    @property
    def old_id(self) -> str:
        """The previous id of the alias."""
        return f"{self.user_id}-old"

    @property
    def guild(self) -> str:
        return f"{self.user_id}-guild"

    @property
    def email(self) -> str:
        return f"{self.user_id}@players.example"

    def as_json(self) -> dict[str, Any]:
        """Return the argument `calls` of a client in clients/ or pages/."""
        return {
            "user": self.user_id,
            "old": self.old_id,
            "guild": self.guild,
            "traits": {"email": self.email, "plan": PLAN},
            "coins": COINS,
        }


def events(product: Product, calls: PlayerCalls) -> list[tuple[str, str, str, Any, str]]:
    """Return (kind, name, message id, properties, anonymous id) of the player's events."""
    return product.rows(
        "SELECT kind, name, message_id, properties, anonymous_id FROM audience_event WHERE user_id = %s ORDER BY id",
        calls.user_id,
    )


def last_batch(product: Product) -> int:
    (newest,) = product.rows("SELECT coalesce(max(id), 0) FROM audience_batch")[0]
    return int(newest)


def digested(product: Product) -> bool:
    return not product.rows("SELECT 1 FROM audience_batch WHERE state = 'pending'")


def assert_stored_once(product: Product, calls: PlayerCalls) -> None:
    """Every event is stored exactly once."""
    rows = events(product, calls)
    assert Counter((kind, name) for kind, name, *_ in rows) == calls.stored
    assert len({message_id for _, _, message_id, *_ in rows}) == len(rows)
    coins = [properties["n"] for _, name, _, properties, _ in rows if name == "Coin Collected"]
    assert sorted(coins) == list(range(COINS))


def assert_one_person(product: Product, calls: PlayerCalls) -> None:
    """The ids of all events, including the previous id of the alias, belong to one person with the traits and guild."""
    anonymous = {anonymous_id for *_, anonymous_id in events(product, calls)} - {""}
    people = product.rows(
        "SELECT DISTINCT p.id, p.traits ->> 'email', p.traits ->> 'plan' FROM audience_identity i "
        "JOIN audience_person p ON p.id = i.person_id WHERE (i.namespace = 'user' AND i.value = ANY(%s)) "
        "OR (i.namespace = 'anonymous' AND i.value = ANY(%s))",
        [calls.user_id, calls.old_id],
        [calls.old_id, *anonymous],
    )
    assert [row[1:] for row in people] == [(calls.email, PLAN)]
    guilds = product.rows(
        "SELECT g.group_id, g.traits FROM audience_group_members m JOIN audience_group g ON g.id = m.group_id "
        "WHERE m.person_id = %s",
        people[0][0],
    )
    assert guilds == [(calls.guild, {"name": "Night Owls"})]


def assert_faults_were_retried(proxy: FlakyProxy) -> None:
    """Each fault happened and was followed by a retry; the server answered 200 to every request it received.

    Segment's Python SDK puts a refused batch at the end of its queue. On a busy machine it is then sent in other parts,
    whose first message was not the first one before.
    """
    expected = (*proxy.faults, PASS)
    seen = {tuple(attempts) for attempts in proxy.attempts.values()}
    assert expected in seen
    assert all(attempts == expected[: len(attempts)] for attempts in seen)
    assert {status for method, _, status in proxy.calls if method == "POST"} == {200}


def assert_duplicates_were_counted(product: Product, after: int, *, at_least: int) -> None:
    """Events whose answer was cut off were sent again and counted as duplicates, in batches with ids above `after`."""
    (duplicates,) = product.rows("SELECT sum(duplicates) FROM audience_batch WHERE id > %s", after)[0]
    assert duplicates >= at_least
