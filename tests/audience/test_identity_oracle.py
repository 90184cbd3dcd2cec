"""Examples for the model of identity."""

from tests.audience.identity_oracle import Message, Oracle, Player


def named(*users: str) -> Player:
    return frozenset(("user", user) for user in users)


def unnamed(*ids: tuple[str, str]) -> Player:
    return frozenset(ids)


def players(*messages: Message) -> list[Player]:
    return Oracle(messages).players()


def test_the_user_last_named_at_or_before_the_event_owns_it_else_the_first_after() -> None:
    assert players(
        Message(at=1, message_id="1", anonymous="a"),
        Message(at=2, message_id="2", anonymous="a", user="u1"),
        Message(at=3, message_id="3", anonymous="a", user="u2"),
        Message(at=3, message_id="0", anonymous="a"),
    ) == [named("u1"), named("u1"), named("u2"), named("u2")]


def test_of_two_namings_at_one_time_the_greater_message_id_is_the_later() -> None:
    history = [
        Message(at=1, message_id="2", anonymous="a", user="u2"),
        Message(at=1, message_id="1", anonymous="a", user="u1"),
    ]
    before, after = Message(at=0, message_id="3", anonymous="a"), Message(at=2, message_id="4", anonymous="a")
    assert players(*history, before, after)[2:] == [named("u1"), named("u2")]


def test_a_device_decides_only_for_an_anonymous_id_that_was_never_named() -> None:
    history = [
        Message(at=1, message_id="1", device="d", user="u1"),
        Message(at=2, message_id="2", device="d", anonymous="a"),
    ]
    later = Message(at=9, message_id="3", anonymous="a", user="u2")
    assert players(*history)[1] == named("u1")
    assert players(*history, later)[1] == named("u2")


def test_the_previous_id_of_an_alias_is_a_user_id_if_any_event_names_it_as_one() -> None:
    history = [
        Message(at=1, message_id="1", anonymous="x"),
        Message(at=2, message_id="2", alias=("x", "u1")),
        Message(at=3, message_id="3", alias=("x", "u2")),
    ]
    assert players(*history) == [named("u1"), named("u1"), named("u2")]
    everyone = named("x", "u1", "u2")
    assert players(*history, Message(at=9, message_id="4", user="x")) == [
        unnamed(("anonymous", "x")),
        everyone,
        everyone,
        everyone,
    ]


def test_weak_ids_seen_together_without_a_user_are_one_unnamed_player() -> None:
    history = [
        Message(at=1, message_id="1", anonymous="a1", device="d"),
        Message(at=2, message_id="2", anonymous="a2", device="d"),
    ]
    assert players(*history) == [unnamed(("anonymous", "a1"), ("anonymous", "a2"), ("device", "d"))] * 2
    named_later = Message(at=3, message_id="3", anonymous="a2", user="u1")
    assert players(*history, named_later)[:2] == [unnamed(("anonymous", "a1"), ("device", "d")), named("u1")]


def test_an_id_of_fifty_players_has_owners_and_one_of_fifty_one_has_none() -> None:
    history = [Message(at=number, message_id=f"{number:03}", device="d", user=f"u{number}") for number in range(51)]
    alone = Message(at=60, message_id="999", device="d")
    assert players(*history[:50], alone)[-1] == named("u49")
    assert players(*history, alone)[-1] == unnamed(("device", "d"))
    merged = Message(at=61, message_id="998", alias=("u0", "u50"))
    assert players(*history, alone, merged)[-2] == named("u0", "u50")


def test_explicit_ids_join_players() -> None:
    steam = (("steam", "s1"),)
    assert (
        players(
            Message(at=1, message_id="1", user="u1", explicit=steam),
            Message(at=2, message_id="2", user="u2", explicit=steam),
        )
        == [frozenset({("user", "u1"), ("user", "u2"), ("steam", "s1")})] * 2
    )


def test_an_event_without_an_id_belongs_to_nobody_else() -> None:
    first, second = players(Message(at=1, message_id="1"), Message(at=1, message_id="2"))
    assert first != second
