"""The settings that a form or a rollback proposes for a postback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audience.models import Game
from audience.wording.time_zones import DEFAULT
from postbacks.models import PostbackConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedSettings:
    """Settings that are not stored yet; `goals` as in PostbackConfig.

    When a config is changed, missing parts of `credential` and blank secrets mean the stored ones; a blank plain part
    is removed. With a `test_code` the check sends an event for the network's test view.
    """

    network: str
    pixel_id: str
    triggers: Sequence[str]
    goals: Sequence[Mapping[str, Any]] = ()
    enabled: bool = True
    time_zone: str = DEFAULT
    credential: Mapping[str, str] = field(default_factory=dict, repr=False)
    test_code: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixel_id", self.pixel_id.strip())
        object.__setattr__(self, "test_code", self.test_code.strip())

    @classmethod
    def of(cls, config: PostbackConfig, **changes: Any) -> "ProposedSettings":
        """The stored settings of `config` with `changes`."""
        names = ("network", "pixel_id", "triggers", "goals", "enabled", "time_zone")
        return cls(**{name: getattr(config, name) for name in names} | changes)

    def as_config(self, *, game: Game, existing: PostbackConfig | None) -> PostbackConfig:
        """An unsaved config with these settings, and with the id of `existing`, so that its deliveries count."""
        config = PostbackConfig(
            game=game,
            network=self.network,
            pixel_id=self.pixel_id,
            triggers=list(self.triggers),
            goals=list(self.goals),
            enabled=self.enabled,
            time_zone=self.time_zone,
        )
        if existing:
            config.pk = existing.pk
        config.credential = {**(existing.credential if existing else {}), **self.credential}
        if config.kind.has_templates:
            config.click_parameters = list(config.kind.click_parameters_of(config.credential))
        return config
