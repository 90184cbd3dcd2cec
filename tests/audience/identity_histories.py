"""Random histories of players who share browsers and devices in the Immutable dialect, and random orders of arrival."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from audience.digest import queue
from audience.games.keys import create_key
from audience.models import Game
from tests.arrivals import Arrival, arrivals, message_id, store
from tests.audience.identity_oracle import Message

LIBRARY = {"library": "history", "libraryVersion": "1.0.0"}
USERS, BROWSERS, DEVICES = ("u1", "u2", "u3"), ("a1", "a2", "a3"), ("d1", "d2")
# The anonymous id of messages without one and without a user, since the dialect requires either.
PLACEHOLDER = "unknown"
EMAILS = ("ada@players.example", "bob@players.example", "cyd@players.example")


@dataclass(frozen=True, slots=True)
class Step:
    """One message. `click` is '' for no click, "own" for a unique click id, else the click id."""

    kind: str
    minute: int
    who: dict[str, str]
    ends: tuple[str, str] = ("", "")
    steam: bool = False
    email: str | None = ""
    click: str = ""

    def message(self, number: int, at: datetime, position: int) -> dict[str, Any]:
        """Return the message as a client sends it; `number` gives its message id."""
        context: dict[str, Any] = dict(LIBRARY)
        if self.click:
            context["pageUrl"] = f"https://game.example/?ttclid={self.click_key(position)}"
        fields = {
            "messageId": message_id(number),
            "eventTimestamp": (at + timedelta(minutes=self.minute)).isoformat(),
            "context": context,
            **self.who,
        }
        if self.kind in ("page", "identify", "alias"):
            fields["type"] = self.kind
        else:
            fields |= {"type": "track", "eventName": self.kind}
        if self.kind == "alias":
            fields |= {"fromId": self.ends[0], "toId": self.ends[1]}
            fields |= {"fromType": "steam"} if self.steam else {}
        if self.kind == "identify":
            fields |= {"traits": {"email": self.email}} if self.email != "" else {}
            fields |= {"identityType": "steam"} if self.steam else {}
        return fields

    def as_text(self) -> str:
        stated = (" ".join(self.who.values()), "->".join(filter(None, self.ends)), "steam" * self.steam, self.click)
        email = "" if self.email == "" else f"email={self.email}"
        return " ".join(filter(None, (f"{self.minute}min", self.kind, *stated, email)))

    def click_key(self, position: int) -> str:
        return f"click-{position}" if self.click == "own" else self.click

    def modelled(self, number: int) -> Message:
        """Return the message as the model reads it."""
        explicit: tuple[tuple[str, str], ...] = ()
        if self.steam:
            named = self.ends[0] if self.kind == "alias" else self.who.get("userId", "")
            explicit = (("steam", named),) if named else ()
            # With a type, the previous id of an alias is not anonymous.
            explicit += (("user", named), ("user", self.ends[1])) if self.kind == "alias" else ()
        anonymous = self.who.get("anonymousId", "")
        return Message(
            at=self.minute,
            message_id=message_id(number),
            user=self.who.get("userId", ""),
            anonymous="" if anonymous == PLACEHOLDER else anonymous,
            device=self.who.get("deviceId", ""),
            alias=self.ends if self.kind == "alias" and not self.steam else None,
            explicit=explicit,
        )


@dataclass(frozen=True, slots=True)
class History:
    """`numbers` determine the message ids of the steps, in another order than the steps."""

    steps: list[Step]
    numbers: list[int]
    arrivals: list[Arrival]

    def modelled(self) -> list[Message]:
        return [step.modelled(number) for step, number in zip(self.steps, self.numbers, strict=True)]

    def as_text(self, arrival: Arrival) -> str:
        """Return one line per message in the order of arrival: position, message id, and what follows."""
        ends = ("", "; batch ends", "; digest")
        return "\n".join(
            f"{position} (id {self.numbers[position]}): {self.steps[position].as_text()}{ends[end]}"
            for position, end in zip(arrival.order, arrival.ends, strict=True)
        )

    def message(self, position: int, at: datetime) -> dict[str, Any]:
        return self.steps[position].message(self.numbers[position], at, position)


SomeStep = st.SearchStrategy[Step]
clicks = st.sampled_from(("own", "own", "", "shared"))
emails = st.sampled_from(("", *EMAILS, None))
seldom = st.sampled_from((False, False, False, True))


def _steps(users: Sequence[str], browsers: Sequence[str], devices: Sequence[str], times: int) -> SomeStep:
    """Steps at a few times, so that many have the same time."""
    minutes = st.integers(0, times - 1)
    user, browser = {"userId": st.sampled_from(users)}, {"anonymousId": st.sampled_from(browsers)}
    device = {"deviceId": st.sampled_from(devices)}
    guest = st.fixed_dictionaries(browser, optional=device)
    guests = st.one_of(guest, guest, st.fixed_dictionaries({"anonymousId": st.just(PLACEHOLDER)}, optional=device))
    members = st.fixed_dictionaries(user, optional={**browser, **device})
    players = st.one_of(guests, members)
    only_device = st.fixed_dictionaries({}, optional=device)
    names = (*users, *browsers)
    from_any = st.sampled_from([(old, new) for old in names for new in (*users, *names) if old != new])
    from_user = st.sampled_from([(old, new) for old in users for new in users if old != new])
    tracked = st.sampled_from(("game_launch", "purchase", "sign_in"))
    return st.one_of(
        st.builds(Step, st.just("page"), minutes, players, click=clicks),
        st.builds(Step, tracked, minutes, players, click=clicks),
        st.builds(Step, tracked, minutes, members, click=clicks),
        st.builds(Step, st.just("game_launch"), minutes, guests, click=clicks),
        st.builds(Step, st.just("identify"), minutes, members, email=emails, steam=seldom, click=clicks),
        st.builds(Step, st.just("identify"), minutes, guests, email=emails, click=clicks),
        st.builds(Step, st.just("alias"), minutes, only_device, ends=from_any, click=clicks),
        st.builds(Step, st.just("alias"), minutes, only_device, ends=from_user, steam=seldom, click=clicks),
    )


steps = _steps(USERS, BROWSERS, DEVICES, 6)
# Two users who share one browser and one device.
crowded_steps = _steps(USERS[:2], BROWSERS[:1], DEVICES[:1], 3)


@st.composite
def histories(draw: st.DrawFn, *, min_size: int = 3, max_size: int = 14) -> History:
    """A history with three orders of arrival."""
    kinds = draw(st.sampled_from((steps, crowded_steps)))
    happened = draw(st.lists(kinds, min_size=min_size, max_size=max_size))
    count = len(happened)
    numbers = draw(st.permutations(range(count)))
    return History(happened, numbers, [draw(_arrivals(count)) for _ in range(3)])


@st.composite
def _arrivals(draw: st.DrawFn, count: int) -> Arrival:
    return draw(arrivals(count, draw(st.lists(st.integers(0, count - 1), max_size=2))))


def send(
    history: History, arrival: Arrival, *, game: Game, at: datetime, drain: Callable[[], object] = queue.drain
) -> None:
    """Send the history to `game` in the order of `arrival` and digest it with `drain`. `at` is minute 0."""
    key = create_key(game=game, name="web").key
    batch: list[dict[str, Any]] = []
    for position, end in zip(arrival.order, arrival.ends, strict=True):
        batch.append(history.message(position, at))
        if end:
            store(key, batch)
            batch = []
        if end == 2:
            drain()
    store(key, batch)
    drain()
