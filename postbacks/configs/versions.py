"""Records a version for every change of a config: its settings, what was changed, and by whom."""

from typing import Any

from postbacks.models import ConfigVersion, PostbackConfig


def record(*, config: PostbackConfig, change: str, set_by: Any) -> ConfigVersion:
    """Store the current version of `config`; `change` is a label. `set_by` is a user or None."""
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
    """The label of a change: "Credential rotated, switched off"."""
    parts = ["Credential rotated"] if rotated else []
    parts += ["Pixel changed"] if before.pixel_id != after.pixel_id else []
    parts += ["Trigger events changed"] if set(before.triggers) != set(after.triggers) else []
    parts += ["Goals changed"] if before.goals != after.goals else []
    if before.enabled != after.enabled:
        parts.append("Switched on" if after.enabled else "Switched off")
    label = ", ".join(parts) or "Validated again"
    return label[0] + label[1:].lower()
