"""Why a delivery has its state, and what to do about it. Reads its config, conversion and attempts."""

from audience.models import Reason
from postbacks.models import Delivery, DeliveryState
from postbacks.reporting import labels
from postbacks.reporting.waits import Wait


def remedy_of(delivery: Delivery, *, in_time: bool) -> str:
    """Return what to do about a delivery; '' if there is nothing to do. `in_time`: its deadline has not passed."""
    # The remedy for a click of another network is shown with the conversion, not with each postback.
    if delivery.reason == Reason.OTHER_NETWORK:
        return ""
    if delivery.state == DeliveryState.FAILED and delivery.is_unmatched:
        return labels.UNMATCHED_REMEDY
    if delivery.is_unknown and not (delivery.state == DeliveryState.FAILED and in_time):
        return labels.UNKNOWN_REMEDY
    if delivery.state == DeliveryState.HELD and delivery.config.is_held_by_user:
        return labels.HELD_BY_USER_REMEDY
    return labels.remedy(
        state=delivery.state,
        reason=delivery.reason,
        verdict=delivery.verdict,
        in_time=in_time,
        network=delivery.network,
    )


def explanation_of(delivery: Delivery, wait: Wait | None) -> str:
    """Return why a delivery has its state, with a note if an earlier call may have arrived."""
    text = _cause(delivery, wait)
    return f"{text.rstrip('. ')}; {labels.UNANSWERED}" if delivery.is_unknown else text


def _cause(delivery: Delivery, wait: Wait | None) -> str:
    """Return the label of the recorded reason, else the network's last answer."""
    if delivery.reason == Reason.OTHER_NETWORK and delivery.conversion and delivery.conversion.touch:
        winner = labels.network_label(delivery.conversion.touch.network)
        return f"The attributed click is from {winner}, so this postback does not send the conversion"
    if delivery.reason:
        return delivery.get_reason_display()
    answers = [attempt.message for attempt in delivery.attempts.all() if attempt.message]
    if delivery.state == DeliveryState.DELIVERED:
        return labels.ACCEPTANCES.get(delivery.confirmation, labels.ACCEPTANCES[""])
    if delivery.state == DeliveryState.HELD:
        return delivery.config.held_message or "The network does not accept the credential of this postback"
    if answers:
        return answers[-1]
    if delivery.state != DeliveryState.WAITING:
        return "The call ended without an answer"
    return wait.cause if wait and wait.cause else "About to be sent"
