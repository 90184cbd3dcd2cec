"""Every change of a config makes a version: what it said, what was changed, and by whom."""

from typing import Any

from postbacks.models import ConfigVersion, PostbackConfig


def record(*, config: PostbackConfig, change: str, set_by: Any) -> ConfigVersion:
    """Write the version that `config` is at now; `change` says in words what made it. `set_by` is a user or None."""
    return ConfigVersion.objects.create(
        config=config,
        number=config.version,
        pixel_id=config.pixel_id,
        triggers=list(config.triggers),
        goals=config.goals,
        enabled=config.enabled,
        change=change[:120],
        set_by=set_by,
    )


def difference(before: PostbackConfig, after: PostbackConfig, *, rotated: bool) -> str:
    """What was changed, in words: "Credential rotated, switched off"."""
    said = ["Credential rotated"] if rotated else []
    said += ["Pixel changed"] if before.pixel_id != after.pixel_id else []
    said += ["Trigger events changed"] if set(before.triggers) != set(after.triggers) else []
    said += ["Goals changed"] if before.goals != after.goals else []
    if before.enabled != after.enabled:
        said.append("Switched on" if after.enabled else "Switched off")
    words = ", ".join(said) or "Validated again"
    return words[0] + words[1:].lower()
