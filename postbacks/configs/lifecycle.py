"""Changes, disables, holds and deletes postbacks. A change that the network must accept is checked first."""

import copy
from dataclasses import replace
from typing import Any

from auditlog.context import disable_auditlog
from auditlog.models import LogEntry
from django.db import transaction

from audience.accounts import audit_log
from audience.database import clock
from audience.models import goals as goal_events
from postbacks.configs import goal_copies, hold, rules, unsent_counts, versions
from postbacks.configs.credentials import request_check
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsChanged, SettingsRefused
from postbacks.configs.unsent_counts import UnsentCounts
from postbacks.models import HELD_BY_USER, CredentialCheck, PostbackConfig
from postbacks.outbox import config_locks
from postbacks.outbox.goals import object_ids

NOTHING_TO_ROLL_BACK = "The previous credential is no longer stored. Enter the credential to use."


@transaction.atomic
def change(
    *, config: PostbackConfig, proposed: ProposedSettings, changed_by: Any, seen_version: int | None = None
) -> CredentialCheck | None:
    """Change a postback. Returns a check if the network must accept the change, else None.

    The network checks a new credential, a new pixel, new object ids and a test code; everything else is applied at
    once. Raises SettingsRefused with a sentence for the form, and SettingsChanged unless it has the `seen_version`.
    """
    goal_copies.lock_shared(config.game_id)
    proposed = replace(proposed, goals=goal_copies.refreshed(proposed.goals, game_id=config.game_id))
    row = _locked(config, seen_version)
    new_parts = rules.new_parts(proposed.credential, row)
    new_ids = set(object_ids(proposed.goals)) - set(object_ids(row.goals))
    if new_parts or new_ids or proposed.test_code or proposed.pixel_id != row.pixel_id:
        proposed = replace(proposed, credential=new_parts)
        return request_check(game=row.game, proposed=proposed, config=row, requested_by=changed_by)
    _apply(row, proposed, changed_by)
    return None


@transaction.atomic
def roll_back(*, config: PostbackConfig, requested_by: Any) -> CredentialCheck:
    """Check the credential before the last rotation, which is stored for 24 hours; a passed check restores it.

    Raises SettingsRefused if it is no longer stored.
    """
    row = _locked(config)
    if not row.can_roll_back or not row.previous_credential:
        raise SettingsRefused(NOTHING_TO_ROLL_BACK)
    proposed = ProposedSettings.of(row, credential=row.previous_credential)
    return request_check(game=row.game, proposed=proposed, config=row, requested_by=requested_by, is_whole=True)


def enable(*, config: PostbackConfig, changed_by: Any = None) -> None:
    """Enable a postback; skipped conversions stay skipped. SettingsRefused if it was deleted."""
    _set_enabled(config, enabled=True, changed_by=changed_by)


@transaction.atomic
def disable(*, config: PostbackConfig, changed_by: Any = None) -> UnsentCounts:
    """Stop sending and cancel open deliveries; return their counts. SettingsRefused if it was deleted."""
    row = _set_enabled(config, enabled=False, changed_by=changed_by)
    unsent = unsent_counts.count_unsent(row)
    hold.make_open_due(config=row)
    return unsent


@transaction.atomic
def put_on_hold(*, config: PostbackConfig, changed_by: Any = None, note: str = "") -> int:
    """Stop sending until a user releases the postback; return the number of deliveries that wait for that.

    `note` is the reason, shown on its page and on the conversions that wait. No check ends this hold, and it replaces
    one for a refused credential. Raises SettingsRefused if the postback was deleted or a user put it on hold already.
    """
    row, note = _locked(config), " ".join(note.split())
    if row.is_held_by_user:
        raise SettingsRefused("A user put this postback on hold already.")
    message = f"A user put this postback on hold: “{note}”." if note else "A user put this postback on hold."
    hold.hold(config=row, access=HELD_BY_USER, message=message)
    _record_version(row, "Put on hold", changed_by)
    return unsent_counts.count_unsent(row).held


@transaction.atomic
def release(*, config: PostbackConfig, changed_by: Any = None) -> int:
    """End a hold without a check; return the number of deliveries that are sent now.

    If the network refuses the credential, the postback is put on hold again. Raises SettingsRefused if it was deleted
    or is not on hold.
    """
    row = _locked(config)
    if row.held_at is None:
        raise SettingsRefused("This postback is not on hold.")
    released = hold.release(config=row)
    _record_version(row, "Released from hold", changed_by)
    return released


def _record_version(row: PostbackConfig, change: str, changed_by: Any) -> None:
    """Store a version for the history of a hold, whose entry in the audit log is written by hold.py."""
    row.refresh_from_db()
    with disable_auditlog():
        versions.save(config=row, change=change, set_by=changed_by)


@transaction.atomic
def delete(*, config: PostbackConfig, changed_by: Any = None, seen_version: int | None = None) -> UnsentCounts:
    """Delete a postback and its credential, and cancel its open deliveries; return their counts.

    The delivery log is kept. Idempotent. Raises SettingsChanged unless it has the `seen_version`.
    """
    config_locks.lock_exclusive(config.game_id)
    try:
        row = _locked(config, seen_version)
    except SettingsChanged:
        raise
    except SettingsRefused:
        return unsent_counts.count_unsent(config)
    unsent, change = unsent_counts.count_unsent(row), {"enabled": (str(row.enabled), "False")}
    row.deleted_at, row.enabled, row.credential = clock.now(), False, {}
    row.previous_credential, row.previous_until = {}, None
    with disable_auditlog():  # it would record a change, since the row is kept for the log
        versions.save(config=row, change="Deleted", set_by=changed_by)
    change |= {"credential": (rules.audit_text("{...}"), rules.audit_text("{}"))}
    audit_log.record(game=row.game, subject=row, action=LogEntry.Action.DELETE, changes=change)
    hold.release(config=row)
    hold.make_open_due(config=row)
    return unsent


def _apply(row: PostbackConfig, proposed: ProposedSettings, changed_by: Any) -> None:
    """Apply the changes that the network need not check to the locked `row`."""
    triggers, goals, enabled, zone = list(proposed.triggers), list(proposed.goals), proposed.enabled, proposed.time_zone
    rules.refuse_invalid(triggers, goals, network=row.network, pixel_id=row.pixel_id)
    if (set(triggers), goals, enabled, zone) == (set(row.triggers), list(row.goals), row.enabled, row.time_zone):
        return
    before = copy.copy(row)
    row.triggers, row.goals, row.enabled, row.time_zone = triggers, goals, enabled, zone
    goal_events.add_goal_events(game=row.game, names=[str(goal["event"]) for goal in goals])
    versions.save(config=row, change=versions.difference(before, row), set_by=changed_by)
    if before.enabled and not enabled:
        hold.make_open_due(config=row)


@transaction.atomic
def _set_enabled(config: PostbackConfig, *, enabled: bool, changed_by: Any) -> PostbackConfig:
    row = _locked(config)
    if row.enabled != enabled:
        row.enabled = enabled
        versions.save(config=row, change="Enabled" if enabled else "Disabled", set_by=changed_by)
    return row


def _locked(config: PostbackConfig, seen_version: int | None = None) -> PostbackConfig:
    row = PostbackConfig.objects.kept().locked().select_related("game").filter(pk=config.pk).first()
    if row is None:
        raise SettingsRefused(rules.DELETED)
    if seen_version is not None and row.version != seen_version:
        raise SettingsChanged
    return row
