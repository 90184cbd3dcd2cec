"""Labels of networks, outcomes and durations, and the remedies of deliveries."""

from datetime import datetime, timedelta

from audience.wording import dates
from postbacks.models import Confirmation, Delivery, DeliveryState
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Verdict
from postbacks.outbox import reasons

# The label of a delivery's state, and the CSS class of its dot.
STATES = {
    DeliveryState.DELIVERED: ("Delivered", "good"),
    DeliveryState.WAITING: ("Waiting", "busy"),
    DeliveryState.HELD: ("On hold", "warn"),
    DeliveryState.FAILED: ("Failed", "bad"),
    DeliveryState.SKIPPED: ("Not sent", ""),
    DeliveryState.CANCELLED: ("Canceled", ""),
}
# The same of a delivery that the network acknowledges first, by its state and confirmation.
CONFIRMATIONS: dict[tuple[str, str], tuple[str, str]] = {
    (DeliveryState.DELIVERED, Confirmation.AWAITED): ("Accepted, to be confirmed", "good"),
    (DeliveryState.DELIVERED, Confirmation.CONFIRMED): ("Confirmed", "good"),
    (DeliveryState.DELIVERED, Confirmation.UNKNOWN): ("Accepted, unconfirmed", "warn"),
    (DeliveryState.FAILED, Confirmation.REFUSED): ("Refused later", "bad"),
    (DeliveryState.FAILED, Confirmation.UNMATCHED): ("Unmatched", "warn"),
    (DeliveryState.WAITING, Confirmation.AGAIN): ("To be sent again", "busy"),
}
# What its confirmation means for a delivered one.
ACCEPTANCES = {
    "": "Accepted by the network",
    Confirmation.AWAITED.value: "Accepted by the network, which later reports whether it counted the conversion",
    Confirmation.CONFIRMED.value: "Accepted and counted by the network",
    Confirmation.UNKNOWN.value: "Accepted by the network, which did not report within a day whether it counted the "
    "conversion",
}
# The network of a click, '' for none; some have no postbacks (audience/digest/click_ids.py).
CLICK_LABELS = {
    "amazon": "Amazon",
    "other": "Another ad network",
    "": "No paid click",
    # A network without a label stops the start with a sentence (check_networks).
    **{kind: getattr(network, "label", kind) for kind, network in NETWORKS.items()},
}
UNANSWERED = "a call ended without an answer, so the conversion may have arrived"

BY_STATE = {
    DeliveryState.WAITING: "Nothing to do. The conversion is sent automatically at the time shown.",
    DeliveryState.HELD: (
        "Rotate the credential under Integrations. After the network accepts the new credential, the conversion is "
        "sent automatically if its deadline has not passed."
    ),
}
HELD_BY_USER_REMEDY = (
    "Release the postback under Integrations. The conversion is then sent automatically if its deadline has not passed."
)
BY_VERDICT = {
    Verdict.PAYLOAD.value: (
        "Read the response of the network. The event itself was refused, and sending it again without a change has "
        "the same result. Correct the data that the game sends."
    ),
    Verdict.CREDENTIAL.value: "Rotate the credential under Integrations, then send the conversion again.",
    Verdict.TRANSIENT.value: "Send the conversion again: the network could not be reached in time.",
}
UNMATCHED_REMEDY = (
    "Nothing to do. The network does not know a click with this ID, so the click does not belong to one of its ads. If "
    "this happens often, check that the network itself adds the click ID to the ad links."
)
UNKNOWN_REMEDY = (
    "Search for the event ID in the network’s own reports. Only they show whether the conversion was counted."
)
PAST_DEADLINE = "Nothing to do. The deadline has passed, so another attempt could be refused or counted twice."


def network_label(network: str) -> str:
    """Return the name of a network, which may be one of attribution only, without postbacks."""
    return NETWORKS[network].label if network in NETWORKS else network.capitalize()


def outcome_label(delivery: Delivery) -> tuple[str, str]:
    """Return the label of a delivery's outcome, unknown without an answer, and the CSS class of its dot."""
    if not delivery.is_unknown:
        state = DeliveryState(delivery.state)
        return CONFIRMATIONS.get((state, delivery.confirmation), STATES[state])
    failed = delivery.state == DeliveryState.FAILED
    return ("Failed, may have arrived", "bad") if failed else ("May have arrived", "warn")


def remedy(*, state: str, reason: str, verdict: str, in_time: bool, network: str = "") -> str:
    """Return what to do about a delivery; '' if there is nothing to do. `in_time`: its deadline has not passed."""
    if state == DeliveryState.FAILED and not in_time:
        return PAST_DEADLINE
    if reason:
        return reasons.remedy(reason, network)
    if state == DeliveryState.FAILED:
        return BY_VERDICT.get(verdict, BY_VERDICT[Verdict.TRANSIENT.value])
    return BY_STATE.get(DeliveryState(state), "")


def conversions(number: int, singular: str, plural: str) -> str:
    """Return `1 conversion waits`, `38 conversions wait`."""
    return f"{number:,} conversion{'' if number == 1 else 's'} {singular if number == 1 else plural}"


def clock_time(moment: datetime, now: datetime) -> str:
    """Return `14:05 UTC`, with seconds within the next two minutes, with the day if that is not today."""
    local, is_soon = dates.local(moment), abs(moment - now) < timedelta(minutes=2)
    time = f"{local:%H:%M:%S}" if is_soon else f"{local:%H:%M}"
    day = "" if local.date() == dates.local(now).date() else f"{dates.day(moment)}, "
    return f"{day}{time} {dates.zone_label(moment)}"


def asked_wait(label: str, *, asked_until: datetime, until: datetime, now: datetime) -> str:
    """Return the sentence about a wait that the network `label` asks for, and that may end earlier, at `until`."""
    asked = f"{label} requested to wait until {clock_time(asked_until, now)}"
    is_shortened = asked_until - until > timedelta(minutes=1)
    return f"{asked}; the next attempt is at {clock_time(until, now)}." if is_shortened else f"{asked}."
