"""Goals of a game: their copies in the postbacks that use them, and what stops a change or a deletion."""

from typing import Any

import pytest
from auditlog.models import LogEntry

from audience.models import Game, GoalEvent
from postbacks.configs import credentials, game_goals, lifecycle
from postbacks.configs.game_goals import GameGoalRefused
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.models import CheckState, CredentialCheck, GameGoal, PostbackConfig
from postbacks.outbox.goals import Goal, match_goal
from postbacks.sandbox.server import Sandbox
from tests import factories, hub
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock

pytestmark = pytest.mark.django_db
AT_LEAST_50 = {"property": "value", "op": "gte", "value": "50"}
AT_LEAST_99 = {"property": "value", "op": "gte", "value": "99"}


def definition(**given: Any) -> Goal:
    return Goal.from_json({"event": "purchase", "condition": AT_LEAST_50, **given})


@pytest.fixture
def goal(game: Game) -> GameGoal:
    return game_goals.add(game=game, name="VIP", definition=definition(), added_by=None)


def copy(goal: GameGoal, **given: Any) -> dict[str, Any]:
    plain = {"event": "purchase", "sent_as": "", "once": False, "condition": AT_LEAST_50, "game_goal": str(goal.pk)}
    return {**plain, **given}


def change(goal: GameGoal, *, version: int = 1, name: str = "VIP", **given: Any) -> list[PostbackConfig]:
    return game_goals.change(
        goal=goal, name=name, definition=definition(**given), version=version, changed_by=hub.user("changer")
    )


@pytest.fixture
def configs(game: Game, goal: GameGoal) -> dict[str, PostbackConfig]:
    """Postbacks to four networks, of which three use the goal."""
    other = {"event": "level_up", "sent_as": "Lead", "once": False, "condition": None}
    return {
        "tiktok": factories.config(game, triggers=[], goals=[other, copy(goal, sent_as="Subscribe")]),
        "snapchat": factories.config(game, network="snapchat", triggers=[], goals=[copy(goal, sent_as="SUBSCRIBE")]),
        "x": factories.config(game, network="x", triggers=[], goals=[copy(goal, object_id="ol288")]),
        "meta": factories.config(game, network="meta", goals=[other]),
    }


def test_a_change_changes_the_copies_and_keeps_each_networks_name_and_id(
    goal: GameGoal, configs: dict[str, PostbackConfig]
) -> None:
    before = list(configs["meta"].goals)
    changed = change(goal, name="Whale", condition=AT_LEAST_99, once=True, server_only=True)
    assert {config.network for config in changed} == {"tiktok", "snapchat", "x"}
    for config in configs.values():
        config.refresh_from_db()
    now = copy(goal, condition=AT_LEAST_99, once=True, server_only=True)
    assert configs["tiktok"].goals[1] == {**now, "sent_as": "Subscribe"}
    assert configs["tiktok"].goals[0]["event"] == "level_up"
    assert configs["snapchat"].goals == [{**now, "sent_as": "SUBSCRIBE"}]
    assert configs["x"].goals == [{**now, "object_id": "ol288"}]
    assert (configs["meta"].goals, configs["meta"].version) == (before, 1)
    for network in ("tiktok", "snapchat", "x"):
        version = configs[network].versions.get()
        assert (version.number, version.change) == (2, "Goal of this game changed: Whale")
        assert version.set_by.email == "changer@studio.example"
        assert version.goals == configs[network].goals
    entries = LogEntry.objects.filter(action=LogEntry.Action.UPDATE)
    assert sorted(entry.content_type.model for entry in entries) == ["gamegoal", *["postbackconfig"] * 3]
    assert set(entries.values_list("additional_data__game", flat=True)) == {goal.game_id}


def test_another_event_name_makes_conversions_from_then_on(goal: GameGoal, configs: dict[str, PostbackConfig]) -> None:
    assert not GoalEvent.objects.exists()
    change(goal, event="vip_reached", condition=None)
    assert list(GoalEvent.objects.values_list("game", "name")) == [(goal.game_id, "vip_reached")]


def test_a_conversion_is_matched_by_the_copy(game: Game, goal: GameGoal, configs: dict[str, PostbackConfig]) -> None:
    conversion = factories.conversion(factories.person(game), properties={"value": 60, "currency": "USD"})
    match = match_goal(configs["tiktok"], conversion)
    assert isinstance(match, Goal)
    assert (match.sent_as, match.game_goal) == ("Subscribe", str(goal.pk))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"event": "ünlock"},
            "TikTok Ads CABC cannot use the goal with this change. Goal 1: TikTok Ads does not accept an event named",
        ),
        (
            {"event": "level_up", "condition": None},
            "TikTok Ads CABC cannot use the goal with this change. Goal 2: This goal is the same as goal 1",
        ),
    ],
)
def test_a_change_that_a_network_does_not_take_is_refused_and_changes_nothing(
    game: Game, goal: GameGoal, given: dict[str, Any], problem: str
) -> None:
    plain = {"event": "level_up", "sent_as": "", "once": False, "condition": None}
    goals = [plain, copy(goal)] if given["event"] == "level_up" else [copy(goal)]
    config = factories.config(game, pixel_id="CABC", triggers=[], goals=goals)
    reddit = factories.config(game, network="reddit", triggers=[], goals=[copy(goal, sent_as="LEAD")])
    with pytest.raises(GameGoalRefused) as refused:
        change(goal, **given)
    expected = problem.replace("This goal is the same as goal 1", "Goal 1 already counts")
    assert str(refused.value).startswith(expected)
    for row in (goal, config, reddit):
        before = row.version
        row.refresh_from_db()
        assert row.version == before == 1
    assert (goal.event, config.goals) == ("purchase", goals)


def test_an_older_version_of_the_goal_changes_nothing(goal: GameGoal, configs: dict[str, PostbackConfig]) -> None:
    change(goal, condition=AT_LEAST_99)
    with pytest.raises(GameGoalRefused, match="This goal was changed by someone else, so nothing was saved"):
        game_goals.change(goal=goal, name="Other", definition=definition(), version=1, changed_by=None)
    goal.refresh_from_db()
    assert (goal.name, goal.condition, goal.version) == ("VIP", AT_LEAST_99, 2)


def test_saving_it_unchanged_or_renaming_it_makes_no_version_of_a_postback(
    goal: GameGoal, configs: dict[str, PostbackConfig]
) -> None:
    assert change(goal) == []
    goal.refresh_from_db()
    assert goal.version == 1
    assert game_goals.change(goal=goal, name="Whale", definition=definition(), version=1, changed_by=None) == []
    configs["tiktok"].refresh_from_db()
    assert configs["tiktok"].version == 1


def test_a_deleted_postback_is_not_changed(goal: GameGoal, configs: dict[str, PostbackConfig]) -> None:
    lifecycle.delete(config=configs["tiktok"])
    change(goal, condition=AT_LEAST_99)
    configs["tiktok"].refresh_from_db()
    assert configs["tiktok"].goals[1]["condition"] == AT_LEAST_50


def test_a_goal_in_use_is_not_deleted(goal: GameGoal, configs: dict[str, PostbackConfig]) -> None:
    with pytest.raises(GameGoalRefused) as refused:
        game_goals.delete(goal=goal)
    names = ", ".join(str(configs[network]) for network in ("tiktok", "snapchat", "x"))
    assert str(refused.value) == f"Remove it from these postbacks first: {names}."
    for network in ("tiktok", "snapchat", "x"):
        lifecycle.delete(config=configs[network])
    game_goals.delete(goal=goal)
    assert not GameGoal.objects.exists()


def test_a_name_is_used_once_in_a_game_and_a_game_has_fifty_goals(game: Game, other_game: Game, goal: GameGoal) -> None:
    with pytest.raises(GameGoalRefused, match="This game already has a goal with this name"):
        game_goals.add(game=game, name="VIP", definition=definition(), added_by=None)
    game_goals.add(game=other_game, name="VIP", definition=definition(), added_by=None)
    another = game_goals.add(game=game, name="Other", definition=definition(), added_by=None)
    with pytest.raises(GameGoalRefused, match="This game already has a goal with this name"):
        game_goals.change(goal=another, name="VIP", definition=definition(), version=1, changed_by=None)
    GameGoal.objects.bulk_create([GameGoal(game=game, name=f"g{number}", event="a") for number in range(48)])
    with pytest.raises(GameGoalRefused, match="A game has at most 50 goals"):
        game_goals.add(game=game, name="One more", definition=definition(), added_by=None)


# Changes at the same time -------------------------------------------------------------------------


def proposed(goal: GameGoal, **given: Any) -> ProposedSettings:
    accounts = factories.ACCOUNTS["tiktok"]
    fields = {"pixel_id": accounts.pixel, "triggers": [], "goals": [copy(goal, sent_as="Subscribe")], **given}
    return ProposedSettings(network="tiktok", **fields)


def test_a_postback_is_saved_with_the_goal_as_it_is_by_then(game: Game, goal: GameGoal) -> None:
    config = factories.config(game)
    before = proposed(goal, pixel_id=config.pixel_id)
    change(goal, condition=AT_LEAST_99)
    assert lifecycle.change(config=config, proposed=before, changed_by=None) is None
    config.refresh_from_db()
    assert config.goals == [copy(goal, sent_as="Subscribe", condition=AT_LEAST_99)]


def test_a_check_saves_the_goal_as_it_is_by_then(game: Game, goal: GameGoal, sandbox: Sandbox) -> None:
    accounts = factories.ACCOUNTS["tiktok"]
    settings = proposed(goal, credential=accounts.stored_credential())
    check = credentials.request_check(game=game, proposed=settings, requested_by=None)
    assert change(goal, event="vip_reached", condition=None) == []
    credentials.run_check(check_id=str(check.pk))
    config = PostbackConfig.objects.get()
    assert config.goals == [copy(goal, event="vip_reached", sent_as="Subscribe", condition=None)]
    assert GoalEvent.objects.get().name == "vip_reached"


def test_a_check_with_a_goal_that_was_deleted_saves_nothing(game: Game, goal: GameGoal, sandbox: Sandbox) -> None:
    accounts = factories.ACCOUNTS["tiktok"]
    settings = proposed(goal, credential=accounts.stored_credential())
    check = credentials.request_check(game=game, proposed=settings, requested_by=None)
    game_goals.delete(goal=goal)
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert check.state == CheckState.REFUSED
    assert check.message.startswith("A goal that this postback uses was deleted")
    assert not PostbackConfig.objects.exists()


def test_a_check_with_a_goal_that_the_network_no_longer_takes_saves_nothing(
    game: Game, goal: GameGoal, sandbox: Sandbox
) -> None:
    settings = proposed(goal, credential=factories.ACCOUNTS["tiktok"].stored_credential(), goals=[copy(goal)])
    check = credentials.request_check(game=game, proposed=settings, requested_by=None)
    change(goal, event="ünlock")
    credentials.run_check(check_id=str(check.pk))
    check.refresh_from_db()
    assert (check.state, PostbackConfig.objects.count()) == (CheckState.REFUSED, 0)
    assert check.message.startswith("Goal 1: TikTok Ads does not accept an event named “ünlock”")


def test_a_goal_of_another_game_is_no_goal_of_this_one(game: Game, other_game: Game) -> None:
    foreign = game_goals.add(game=other_game, name="VIP", definition=definition(), added_by=None)
    config = factories.config(game)
    with pytest.raises(lifecycle.SettingsRefused, match="A goal that this postback uses was deleted"):
        lifecycle.change(config=config, proposed=proposed(foreign, pixel_id=config.pixel_id), changed_by=None)


@pytest.mark.django_db(transaction=True)
def test_of_two_members_who_change_a_goal_at_once_the_second_is_refused() -> None:
    goal = game_goals.add(game=factories.game(), name="VIP", definition=definition(), added_by=None)
    config = factories.config(goal.game, triggers=[], goals=[copy(goal, sent_as="Subscribe")])
    ends: list[str] = []

    def edit(least: str) -> None:
        condition = {**AT_LEAST_50, "value": least}
        try:
            game_goals.change(
                goal=goal, name="VIP", definition=definition(condition=condition), version=1, changed_by=None
            )
            ends.append(least)
        except GameGoalRefused as refused:
            ends.append(str(refused))

    threads = [in_thread(lambda least=least: edit(least)) for least in ("60", "70")]  # type: ignore[misc]
    for thread in threads:
        thread.join()
    (winner,) = {"60", "70"} & set(ends)
    assert game_goals.CHANGED in ends
    config.refresh_from_db()
    assert (config.goals[0]["condition"]["value"], config.version) == (winner, 2)


@pytest.mark.django_db(transaction=True)
def test_a_postback_that_is_saved_while_its_goal_changes_has_the_new_one() -> None:
    goal = game_goals.add(game=factories.game(), name="VIP", definition=definition(), added_by=None)
    config = factories.config(goal.game)
    settings = proposed(goal, pixel_id=config.pixel_id)
    with own_connection() as other, other.cursor() as cursor:
        # As game_goals.change holds it until its commit.
        text = f"definitions of goals of game {goal.game_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [text])
        cursor.execute("UPDATE postbacks_gamegoal SET event = 'vip_reached', condition = NULL")
        saving = in_thread(lambda: lifecycle.change(config=config, proposed=settings, changed_by=None))
        wait_for_a_lock()
        other.commit()
        saving.join()
    config.refresh_from_db()
    assert config.goals == [copy(goal, event="vip_reached", sent_as="Subscribe", condition=None)]
    assert not CredentialCheck.objects.exists()
