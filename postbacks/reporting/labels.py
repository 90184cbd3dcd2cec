"""What the pages say of a conversion's way: names, states, and what to do about each reason."""

from datetime import timedelta

from audience.models import Reason
from postbacks.models import Delivery, DeliveryState
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Verdict

# The word of a delivery's state, and its dot.
STATES = {
    DeliveryState.DELIVERED: ("Delivered", "good"),
    DeliveryState.WAITING: ("Waiting", "busy"),
    DeliveryState.HELD: ("On hold", "warn"),
    DeliveryState.FAILED: ("Failed", "bad"),
    DeliveryState.SKIPPED: ("Not sent", ""),
    DeliveryState.CANCELLED: ("Called off", ""),
}
# Of one that is over, whose call ended without an answer: the word is the same wherever it is shown or counted.
MAY_HAVE_ARRIVED = "May have arrived"
FAILED_OR_ARRIVED = "Failed, may have arrived"
UNANSWERED = "a call for it ended without an answer, so that it may have arrived"

# What a marketer can do about it; for most single conversions nothing, but for the next ones something.
REMEDIES: dict[str, str] = {
    Reason.NO_CLICK: (
        "Nothing, if the player came by themselves. If they came from an ad: check that the ad’s link keeps its click "
        "ID up to your landing page, that the page sends an event with it, and that signing in joins the two."
    ),
    Reason.OTHER_NETWORK: "Add a postback for the network of this click under Integrations, if you advertise there.",
    Reason.OUTSIDE_WINDOW: (
        "Nothing for this one. An operator can lengthen the game’s attribution window for those to come."
    ),
    Reason.CONSENT: "Nothing: the player’s choice stands. Once they consent, their next conversions are sent.",
    Reason.NO_MATCH_KEY: (
        "Send the player’s email with identify, or make sure that the click ID reaches your landing page: without "
        "either, the network cannot tell whose conversion it is."
    ),
    Reason.CONFIG_DISABLED: (
        "Switch the postback or this trigger event on under Integrations, if conversions like this one should be sent. "
        "An event that names its destinations itself (integrations) can leave a network out, too."
    ),
    Reason.CONFIG_DELETED: (
        "Nothing for this one: what a postback had not sent when it was deleted is not sent. Add a postback under "
        "Integrations for the conversions to come."
    ),
    Reason.TEST_TRAFFIC: "Nothing: test traffic never reaches a real network. Send the event with a live key.",
    Reason.FILTERED: "Change the goal’s condition under Integrations, if conversions like this one should count.",
    Reason.NOT_FROM_SERVER: (
        "Nothing, if it was made up: with a public key anyone can send events. Report real ones from your own server, "
        "with a server key; or have the goal count events from any key, under Integrations."
    ),
    Reason.REPEAT_LAUNCH: "Nothing: a player’s first launch counts, and there is one already.",
    Reason.REPEAT: "Nothing: the goal counts once per player. Make it repeatable if every one should count.",
    Reason.TOO_OLD: (
        "Nothing for this one. Send events when they happen: the network refuses older ones than its limit."
    ),
    Reason.ERASED: "Nothing: the player asked to be forgotten.",
}
BY_STATE = {
    DeliveryState.WAITING: "Nothing: it is sent by itself at the time shown.",
    DeliveryState.HELD: (
        "Rotate the credential under Integrations: once the network accepts the new one, this is sent by itself, if "
        "that is before the deadline."
    ),
}
BY_VERDICT = {
    Verdict.PAYLOAD.value: (
        "Read what the network said about the fields: the event itself was refused, and sending it again unchanged "
        "ends the same. Correct what the game sends."
    ),
    Verdict.CREDENTIAL.value: "Rotate the credential under Integrations, then send this again.",
    Verdict.TRANSIENT.value: "Send it again: the network could not be reached in time.",
}
IN_DOUBT = "Look for the event ID in the network’s own reports, which alone can tell whether it was counted."
PAST_DEADLINE = "Nothing any more: its deadline has passed, and a repeat could be refused or counted twice."


def network_label(network: str) -> str:
    """The name of a network, also of one that attribution knows and no postback serves."""
    return NETWORKS[network].label if network in NETWORKS else network.capitalize()


def shown(delivery: Delivery) -> tuple[str, str]:
    """The word of what became of a delivery, and its dot."""
    if not delivery.is_unknown:
        return STATES[DeliveryState(delivery.state)]
    return (FAILED_OR_ARRIVED, "bad") if delivery.state == DeliveryState.FAILED else (MAY_HAVE_ARRIVED, "warn")


def remedy(*, state: str, reason: str, verdict: str, in_time: bool) -> str:
    """What to do about one delivery, in a sentence or two; '' where there is nothing left to do."""
    if state == DeliveryState.FAILED and not in_time:
        return PAST_DEADLINE
    if reason in REMEDIES:
        return REMEDIES[reason]
    if state == DeliveryState.FAILED:
        return BY_VERDICT.get(verdict, BY_VERDICT[Verdict.TRANSIENT.value])
    return BY_STATE.get(DeliveryState(state), "")


def span(length: timedelta) -> str:
    """ "3 hours", "2 days", "40 seconds": a length of time in its largest unit."""
    seconds = int(length.total_seconds())
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        count = seconds // size
        if count:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "the same second"
