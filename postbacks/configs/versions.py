"""The versions of a config: applies accepted settings as the next version, and records the change of each.

Applying is atomic: afterward nothing is sent with the old settings. The config is locked, as by claims, until no
attempt of it is open. Sending pauses before that, to keep the lock short.
"""

import copy
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from audience.database import clock
from audience.models import goals
from postbacks.configs import goal_copies, hold, rules
from postbacks.models import ConfigVersion, CredentialCheck, DeliveryAttempt, PostbackConfig
from postbacks.outbox import config_locks

# The longest time from a claim to its answer: planned ahead (0.25 s), started late (2.5 s), time-out (10 s).
MAX_CALL = timedelta(seconds=13)
POLL_SECONDS = 0.02
# How long the credential before a rotation is stored for a rollback.
ROLLBACK_PERIOD = timedelta(hours=24)


def pause_and_wait(*, config_id: UUID) -> None:
    """Pause this config and wait for its calls in flight, MAX_CALL at most. The pause ends by itself."""
    PostbackConfig.objects.filter(pk=config_id).update(paused_until=clock.now() + 2 * MAX_CALL)
    _await_calls(config_id)


def _await_calls(config_id: UUID) -> None:
    """Wait until no call of this config is in flight. Open attempts older than MAX_CALL belong to dead workers."""
    in_flight = DeliveryAttempt.objects.filter(config=config_id, finished_at=None)
    while in_flight.filter(started_at__gt=clock.now() - MAX_CALL).exists():
        time.sleep(POLL_SECONDS)


def resume(*, config_id: UUID | None) -> None:
    """End the pause of `pause_and_wait`."""
    if config_id is not None:
        PostbackConfig.objects.filter(pk=config_id, paused_until__isnull=False).update(paused_until=None)


def apply(*, check: CredentialCheck, credential: Mapping[str, str]) -> None:
    """Create or change the config as the passed check proposes, with the goals of the game as they are by now.

    SettingsRefused if it was changed meanwhile, or a goal of the game was deleted.
    """
    goal_copies.lock_shared(check.game_id)
    goals_now = goal_copies.refreshed(check.goals, game_id=check.game_id)
    if goals_now != check.goals:
        rules.refuse_invalid(check.triggers, goals_now, network=check.network, pixel_id=check.pixel_id)
        check.goals = goals_now
    if check.config_id is None:
        _create(check, credential)
    else:
        _change(check, credential)
    goals.add_goal_events(game=check.game, names=[str(goal["event"]) for goal in check.goals])


def _create(check: CredentialCheck, credential: Mapping[str, str]) -> None:
    config_locks.lock_exclusive(check.game_id)
    now = clock.now()
    config = PostbackConfig.objects.create(
        game=check.game,
        network=check.network,
        pixel_id=check.pixel_id,
        credential=credential,
        triggers=check.triggers,
        goals=check.goals,
        click_parameters=list(check.kind.click_parameters_of(credential)),
        enabled=check.enabled,
        time_zone=check.time_zone,
        validated_at=now,
        checked_at=now,
        created_by=check.requested_by,
    )
    CredentialCheck.objects.filter(pk=check.pk).update(config=config)
    record(config=config, change="Created", set_by=check.requested_by)


def _change(check: CredentialCheck, credential: Mapping[str, str]) -> None:
    if check.kind.has_templates:  # the change may be one of the clicks that it takes
        config_locks.lock_exclusive(check.game_id)
    config = PostbackConfig.objects.kept().locked().filter(checks=check).first()
    if config is None:
        raise rules.SettingsRefused(rules.DELETED)
    if config.version != check.config_version:
        raise rules.SettingsRefused(rules.CHANGED)
    _await_calls(config.pk)
    before, now = copy.copy(config), clock.now()
    if config.credential != credential:
        config.previous_credential, config.previous_until = dict(config.credential), now + ROLLBACK_PERIOD
        config.credential = credential
        config.click_parameters = list(config.kind.click_parameters_of(credential))
    config.pixel_id, config.triggers, config.goals = check.pixel_id, check.triggers, check.goals
    config.enabled, config.time_zone = check.enabled, check.time_zone
    config.validated_at = config.checked_at = now
    save(config=config, change=difference(before, config), set_by=check.requested_by)
    # Releasing requires a passed check, and this one passed. A hold by a user is ended by a user.
    if not config.is_held_by_user:
        hold.release(config=config)
    if not config.enabled:
        hold.make_open_due(config=config)


def save(*, config: PostbackConfig, change: str, set_by: Any) -> None:
    """Save the changed `config` as its next version."""
    config.version += 1
    config.save()
    record(config=config, change=change, set_by=set_by)


def record(*, config: PostbackConfig, change: str, set_by: Any) -> None:
    """Store the current version of `config`; `change` is a label. `set_by` is a user or None."""
    ConfigVersion.objects.create(
        config=config,
        number=config.version,
        pixel_id=config.pixel_id,
        triggers=list(config.triggers),
        goals=config.goals,
        click_parameters=list(config.click_parameters),
        enabled=config.enabled,
        change=change[:120],
        set_by=set_by,
    )


def difference(before: PostbackConfig, after: PostbackConfig) -> str:
    """The label of a change: "Credential rotated, switched off"."""
    parts = ["Credential rotated"] if before.credential != after.credential else []
    parts += ["Pixel changed"] if before.pixel_id != after.pixel_id else []
    parts += ["Trigger events changed"] if set(before.triggers) != set(after.triggers) else []
    parts += ["Goals changed"] if before.goals != after.goals else []
    parts += ["Time zone changed"] if before.time_zone != after.time_zone else []
    if before.enabled != after.enabled:
        parts.append("Enabled" if after.enabled else "Disabled")
    label = ", ".join(parts) or "Validated again"
    return label[0] + label[1:].lower()
