"""Postbacks as the pages list them: the config, and how it fares."""

from dataclasses import dataclass

from audience.models import Game, Trigger
from postbacks import health
from postbacks.deciding import goals
from postbacks.models import PostbackConfig


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """`health` is None for a network that is no longer known."""

    config: PostbackConfig
    triggers: list[str]
    goals: list[str]
    health: health.Judgement | None


def config_rows(game: Game, *, network: str | None = None) -> list[ConfigRow]:
    """The postbacks of a game in the order they were added."""
    found = PostbackConfig.objects.kept().filter(game=game)
    if network:
        found = found.filter(network=network)
    configs = list(found.order_by("created_at").defer("credential", "previous_credential"))
    states = health.of(configs)
    return [
        ConfigRow(
            config=config,
            triggers=[Trigger(trigger).label for trigger in config.triggers],
            goals=[str(goal) for goal in goals.kept(config.goals)],
            health=states.get(config.pk),
        )
        for config in configs
    ]
