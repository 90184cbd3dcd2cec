"""What every SDK tells, and what the server must then hold: each event once, and all of one person."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.journeys.product import Product
from tests.sdk.proxy import AWAY, BUSY, CUT, PASS, FlakyProxy

COINS = 250
# What each request meets before it passes; an SDK that sends again outlives all of them.
WEATHERS: Mapping[str, Sequence[str]] = {"fair": (), "away": (AWAY, AWAY), "busy": (BUSY,), "cut": (CUT,)}
PLAN = "pilot"
# (kind, name) of what one telling leaves behind, and how often.
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
class Story:
    """One player's calls. `names` says which of the calls the SDK has."""

    user_id: str
    stored: Counter[tuple[str, str]] = field(default_factory=lambda: Counter(STORED))

    @property
    def old_id(self) -> str:
        """Who the player was before the alias."""
        return f"{self.user_id}-old"

    @property
    def guild(self) -> str:
        return f"{self.user_id}-guild"

    @property
    def email(self) -> str:
        return f"{self.user_id}@players.example"

    def as_told(self) -> dict[str, Any]:
        """What a client in clients/ or pages/ is given."""
        return {
            "user": self.user_id,
            "old": self.old_id,
            "guild": self.guild,
            "traits": {"email": self.email, "plan": PLAN},
            "coins": COINS,
        }


def events(product: Product, story: Story) -> list[tuple[str, str, str, Any, str]]:
    """(kind, name, message id, properties, anonymous id) of the story's events."""
    return product.rows(
        "SELECT kind, name, message_id, properties, anonymous_id FROM audience_event WHERE user_id = %s ORDER BY id",
        story.user_id,
    )


def last_batch(product: Product) -> int:
    (newest,) = product.rows("SELECT coalesce(max(id), 0) FROM audience_batch")[0]
    return int(newest)


def digested(product: Product) -> bool:
    return not product.rows("SELECT 1 FROM audience_batch WHERE state = 'pending'")


def assert_told_once(product: Product, story: Story) -> None:
    """Every event is there, none of them twice, whatever the weather was."""
    found = events(product, story)
    assert Counter((kind, name) for kind, name, *_ in found) == story.stored
    assert len({message_id for _, _, message_id, *_ in found}) == len(found)
    coins = [properties["n"] for _, name, _, properties, _ in found if name == "Coin Collected"]
    assert sorted(coins) == list(range(COINS))


def assert_one_person(product: Product, story: Story) -> None:
    """The ids of all events, the old one of the alias too, lead to one person with these traits and this guild."""
    anonymous = {anonymous_id for *_, anonymous_id in events(product, story)} - {""}
    people = product.rows(
        "SELECT DISTINCT p.id, p.traits ->> 'email', p.traits ->> 'plan' FROM audience_identity i "
        "JOIN audience_person p ON p.id = i.person_id WHERE (i.namespace = 'user' AND i.value = ANY(%s)) "
        "OR (i.namespace = 'anonymous' AND i.value = ANY(%s))",
        [story.user_id, story.old_id],
        [story.old_id, *anonymous],
    )
    assert [row[1:] for row in people] == [(story.email, PLAN)]
    guilds = product.rows(
        "SELECT g.group_id, g.traits FROM audience_group_members m JOIN audience_group g ON g.id = m.group_id "
        "WHERE m.person_id = %s",
        people[0][0],
    )
    assert guilds == [(story.guild, {"name": "Night Owls"})]


def assert_the_weather_was_met(proxy: FlakyProxy) -> None:
    """The faults did happen, and the SDK sent again once for each; what reached the server was answered with 200."""
    assert proxy.attempts
    assert {tuple(made) for made in proxy.attempts.values()} == {(*proxy.weather, PASS)}
    assert {status for method, _, status in proxy.calls if method == "POST"} == {200}


def assert_copies_were_known(product: Product, after: int, *, at_least: int) -> None:
    """What was stored before its answer was cut off came again, and was counted as a copy."""
    (copies,) = product.rows("SELECT sum(duplicates) FROM audience_batch WHERE id > %s", after)[0]
    assert copies >= at_least
