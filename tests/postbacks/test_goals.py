"""Goals: which events a postback counts, under which condition, and which goals are invalid."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.models import Conversion, Reason
from postbacks.configs import rules
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox import goals
from postbacks.outbox.conditions import OPERATORS, Condition
from postbacks.outbox.goals import Goal, GoalRefused

BIG = {"event": "purchase", "sent_as": "Purchase", "condition": {"property": "value", "op": "gt", "value": "10"}}


def condition(op: str, *values: str, of: str = "x") -> Condition:
    return Condition(of, op, values)


# Conditions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        (condition("gt", "10"), 10.01, True),
        (condition("gt", "10"), 10, False),
        (condition("gt", "10"), "11", True),
        (condition("gt", "0.1"), Decimal("0.10"), False),
        (condition("gte", "10"), "10.0", True),
        (condition("lt", "0"), -1, True),
        (condition("lt", "0"), 0, False),
        (condition("lte", "1e3"), 1000, True),
        (condition("gt", "0"), True, False),
        (condition("gt", "0"), "many", False),
        (condition("gt", "0"), "nan", False),
        (condition("gt", "0"), float("inf"), False),
        (condition("gt", "0"), [1], False),
        (condition("eq", "EU"), " EU ", True),
        (condition("eq", "EU"), "eu", False),
        (condition("eq", "7"), 7.0, True),
        (condition("eq", "7"), "7.00", True),
        (condition("eq", "true"), True, True),
        (condition("eq", "1"), True, False),
        (condition("eq", "EU"), ["EU"], False),
        (condition("ne", "EU"), "US", True),
        (condition("ne", "EU"), "EU", False),
        (condition("ne", "EU"), None, False),
        (condition("ne", "EU"), {"a": 1}, False),
        (condition("in", "EU", "US"), "US", True),
        (condition("in", "1", "2"), 2, True),
        (condition("in", "EU", "US"), "AU", False),
        (condition("exists"), False, True),
        (condition("exists"), 0, True),
        (condition("exists"), {}, True),
        (condition("exists"), "", False),
        (condition("exists"), None, False),
    ],
)
def test_a_condition_holds_or_does_not(asked: Condition, found: Any, expected: bool) -> None:
    assert asked.is_met({"x": found}) is expected


def test_a_missing_property_meets_no_condition() -> None:
    for op in OPERATORS:
        assert condition(op, "1").is_met({"y": 1}) is False
        assert condition(op, "1").is_met(None) is False
        assert condition(op, "1").is_met([1]) is False


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"cart": {"total": 20}}, True),
        ({"cart.total": 20}, True),
        ({"cart.total": 1, "cart": {"total": 20}}, False),
        ({"cart": 20}, False),
        ({"cart": [{"total": 20}]}, False),
    ],
)
def test_a_dotted_path_reads_a_nested_property(properties: dict[str, Any], expected: bool) -> None:
    assert condition("gt", "10", of="cart.total").is_met(properties) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("9" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "x.y", ""]), inner),
    max_leaves=8,
)


@given(
    properties=JSON,
    path=st.sampled_from(["x", "x.y", ".", "x..y"]) | st.text(max_size=9),
    op=st.sampled_from([*OPERATORS]),
)
def test_a_condition_raises_for_no_properties(properties: Any, path: str, op: str) -> None:
    assert condition(op, "10", "sNaN", of=path).is_met(properties) in (True, False)


@given(raw=JSON | st.fixed_dictionaries({"event": JSON, "sent_as": JSON, "once": JSON, "condition": JSON}))
def test_reading_goals_raises_for_no_json_and_stored_goals_are_equal(raw: Any) -> None:
    read = goals.readable_goals([raw])
    assert [Goal.from_json(goal.as_json()) for goal in read] == read


# Goals --------------------------------------------------------------------------------------------


def config(**given: Any) -> PostbackConfig:
    return PostbackConfig(**{"network": "tiktok", "triggers": [], "goals": [], **given})


def event(name: str, **properties: Any) -> Conversion:
    return Conversion(trigger=name, properties=properties)


def test_a_goal_read_from_its_json_is_equal() -> None:
    told = {
        "event": "level_up",
        "sent_as": "AchieveLevel",
        "once": True,
        "condition": {"property": "level", "op": "in", "value": ["10", "20"]},
    }
    goal = Goal.from_json(told)
    assert goal == Goal("level_up", "AchieveLevel", True, Condition("level", "in", ("10", "20")))
    assert goal.as_json() == told
    assert str(goal) == "level_up, if level is one of 10, 20, once per player, as AchieveLevel"


def test_a_short_goal_is_filled_up_and_trimmed() -> None:
    goal = Goal.from_json({"event": " level_up ", "condition": {"property": " n ", "op": "eq", "value": 5}})
    assert goal.as_json() == {
        "event": "level_up",
        "sent_as": "",
        "once": False,
        "condition": {"property": "n", "op": "eq", "value": "5"},
    }
    assert Goal("a", condition=Condition("p", "exists")).as_json()["condition"] == {"property": "p", "op": "exists"}


@pytest.mark.parametrize(
    ("raw", "sentence", "field"),
    [
        ("level_up", "A goal needs an event.", "event"),
        ({}, "Enter the name of the event.", "event"),
        ({"event": " "}, "Enter the name of the event.", "event"),
        ({"event": "x" * 101}, "An event name has at most 100 characters.", "event"),
        ({"event": "a", "sent_as": "x" * 65}, "The network's event name has at most 64 characters.", "sent_as"),
        ({"event": "a", "once": "yes"}, "“Once per player” is on or off.", "once"),
        ({"event": "a", "condition": "x > 1"}, "A condition needs a property, an operator and a value.", "property"),
        ({"event": "a", "condition": {"op": "gt"}}, "Enter the property that the condition reads.", "property"),
        (
            {"event": "a", "condition": {"property": "x", "op": "like", "value": "1"}},
            "Select one of the offered operators.",
            "op",
        ),
        (
            {"event": "a", "condition": {"property": "x", "op": "gt", "value": "ten"}},
            "Enter a number: “is more than” compares numbers.",
            "value",
        ),
        (
            {"event": "a", "condition": {"property": "x", "op": "eq", "value": " "}},
            "Enter the value to compare with.",
            "value",
        ),
        (
            {"event": "a", "condition": {"property": "x", "op": "in", "value": [str(n) for n in range(51)]}},
            "Enter at most 50 values.",
            "value",
        ),
        (
            {"event": "a", "condition": {"property": "x", "op": "eq", "value": "y" * 201}},
            "A value has at most 200 characters.",
            "value",
        ),
    ],
)
def test_what_cannot_be_a_goal_is_refused_with_a_sentence(raw: Any, sentence: str, field: str) -> None:
    with pytest.raises(GoalRefused) as refused:
        goals.parse([{"event": "fine"}, raw])
    assert (str(refused.value), refused.value.field, refused.value.row) == (sentence, field, 1)


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (BIG, {**BIG}, "This goal is the same as goal 1."),
        (BIG, {**BIG, "sent_as": "Big"}, "Goal 1 already counts “purchase” with this condition."),
        ({"event": "purchase"}, BIG, "Goal 1 counts every “purchase”. Put the goal with a condition before it."),
    ],
)
def test_a_goal_that_could_never_count_is_refused(first: Any, second: Any, sentence: str) -> None:
    with pytest.raises(GoalRefused) as refused:
        goals.parse([first, second])
    assert (str(refused.value), refused.value.row) == (sentence, 1)


def test_a_goal_with_a_condition_may_precede_one_without() -> None:
    assert len(goals.parse([BIG, {"event": "purchase"}])) == 2


def test_more_than_twenty_goals_are_refused() -> None:
    assert len(goals.parse([{"event": f"e{number}"} for number in range(20)])) == 20
    with pytest.raises(GoalRefused, match="A postback has at most 20 goals."):
        goals.parse([{"event": f"e{number}"} for number in range(21)])


@pytest.mark.parametrize("raw", ["level_up", {"event": "a"}, None, 7])
def test_goals_come_as_a_list(raw: Any) -> None:
    with pytest.raises(GoalRefused, match="Goals must be a list."):
        goals.parse(raw)


def test_own_goals_come_before_the_ticked_boxes() -> None:
    listed = goals.goals_of(config(triggers=["game_launch", "purchase"], goals=[BIG]))
    assert [(goal.event, goal.sent_as) for goal in listed] == [
        ("purchase", "Purchase"),
        ("game_launch", ""),
        ("purchase", ""),
    ]


def test_a_stored_goal_that_cannot_be_read_stops_no_other() -> None:
    assert goals.goals_of(config(triggers=["purchase"], goals=[7, {"event": ""}, {"event": "a"}])) == [
        Goal("a"),
        Goal("purchase"),
    ]
    assert goals.goals_of(config(triggers=["purchase"], goals={"event": "a"})) == [Goal("purchase")]


@pytest.mark.parametrize(
    ("given", "of", "expected"),
    [
        ({"triggers": ["purchase"]}, event("purchase"), Goal("purchase")),
        ({"triggers": ["purchase"]}, event("game_launch"), Reason.CONFIG_DISABLED),
        ({"triggers": ["purchase"], "enabled": False}, event("purchase"), Reason.CONFIG_DISABLED),
        ({"goals": [BIG]}, event("purchase", value=11), Goal.from_json(BIG)),
        ({"goals": [BIG]}, event("purchase", value=10), Reason.FILTERED),
        ({"goals": [BIG], "triggers": ["purchase"]}, event("purchase", value=10), Goal("purchase")),
        ({"goals": [BIG, {"event": "level_up"}]}, event("level_up"), Goal("level_up")),
        ({"goals": [BIG]}, event("level_up"), Reason.CONFIG_DISABLED),
    ],
)
def test_the_first_goal_whose_condition_holds_takes_the_event(
    given: dict[str, Any], of: Conversion, expected: Goal | Reason
) -> None:
    assert goals.match_goal(config(**given), of) == expected


# Settings -----------------------------------------------------------------------------------------


def test_goals_alone_are_enough_to_save() -> None:
    rules.refuse_invalid([], [BIG], network="tiktok")
    for triggers, further in (([], []), (["refund"], [BIG])):
        with pytest.raises(rules.SettingsRefused, match=r"^Select at least one trigger event\.$"):
            rules.refuse_invalid(triggers, further, network="tiktok")


def test_settings_with_a_bad_goal_are_refused_by_its_number() -> None:
    with pytest.raises(rules.SettingsRefused, match=r"^Goal 2: Enter the name of the event\.$"):
        rules.refuse_invalid(["purchase"], [BIG, {}], network="tiktok")


NAMING = [kind for kind, network in NETWORKS.items() if network.custom_events and not network.object_id]


@pytest.mark.parametrize("network", NAMING)
def test_a_name_that_the_network_does_not_take_is_refused(network: str) -> None:
    label = NETWORKS[network].label
    for goal in ({"event": "ö"}, {"event": "a", "sent_as": "ö"}):
        with pytest.raises(rules.SettingsRefused, match=f"^Goal 1: {label} does not accept an event named “ö”"):
            rules.refuse_invalid([], [goal], network=network)
    rules.refuse_invalid([], [{"event": "ö", "sent_as": "o"}, {"event": "purchase"}], network=network)
