"""Whether a postback may send now: one rule, as a function of a row and as a query condition."""

from datetime import datetime
from enum import StrEnum

from django.db.models import Q, TextChoices

from postbacks.models import PostbackConfig


class Block(StrEnum):
    """Why a postback sends nothing now, as a sentence for the user."""

    DELETED = "The postback was deleted, so nothing can be sent."
    DISABLED = "The postback is disabled. Enable it first."
    ON_HOLD = "The postback is on hold. Rotate the credential first."
    HELD_BY_USER = "A user put the postback on hold. Release it first."
    SUSPECTED = "The network just refused the credential, and it is being checked again. Try again in a minute."
    PAUSED = "The settings of the postback are being changed. Try again in a minute."


class SendingState(TextChoices):
    """The state of a postback that is not deleted, as a filter of lists."""

    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"
    ON_HOLD = "on_hold", "On hold"
    SUSPECTED = "suspected", "Credential being checked again"


def state_of(config: PostbackConfig) -> SendingState:
    """Return the state in the order of `block_of`."""
    if not config.enabled:
        return SendingState.DISABLED
    if config.held_at:
        return SendingState.ON_HOLD
    return SendingState.SUSPECTED if config.suspected_at else SendingState.ACTIVE


def in_state(state: SendingState) -> Q:
    """The configs with this `state_of`, as a condition."""
    is_held, is_suspected = Q(held_at__isnull=False), Q(suspected_at__isnull=False)
    conditions = {
        SendingState.DISABLED: Q(enabled=False),
        SendingState.ON_HOLD: Q(is_held, enabled=True),
        SendingState.SUSPECTED: Q(is_suspected, ~is_held, enabled=True),
        SendingState.ACTIVE: Q(~is_held, ~is_suspected, enabled=True),
    }
    return conditions[state]


def block_of(config: PostbackConfig, *, now: datetime | None = None) -> Block | None:
    """Why `config` may not send; None if it may. Tests the pause of a rotation only with `now`."""
    if config.deleted_at:
        return Block.DELETED
    if not config.enabled:
        return Block.DISABLED
    if config.held_at:
        return Block.HELD_BY_USER if config.is_held_by_user else Block.ON_HOLD
    if config.suspected_at:
        return Block.SUSPECTED
    return Block.PAUSED if now and config.paused_until and config.paused_until >= now else None


def may_send(now: datetime) -> Q:
    """The configs for which `block_of` returns None, as a condition."""
    unpaused = Q(paused_until=None) | Q(paused_until__lt=now)
    return Q(unpaused, deleted_at=None, enabled=True, held_at=None, suspected_at=None)
