"""Every reason why a conversion is not sent, in the order in which the gate tests them, with all its texts.

The sentence of a reason is the label of Reason, which the choices of the columns need too.
"""

from dataclasses import dataclass

from audience.models import Reason
from postbacks.networks import NETWORKS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonText:
    short: str  # the label of a bar or a filter
    clause: str  # follows a number, in the singular and the plural: "35 had no ad click"
    remedy: str  # what to do about one conversion
    next_step: str  # what to check if most conversions of a postback have this reason; may contain {click_param}
    total: str = ""  # the sentence for a sum of conversions, if it differs from that of one


# Of two reasons for postbacks of one network, the later one in this order is shown.
TEXTS: dict[str, ReasonText] = {
    Reason.ERASED: ReasonText(
        short="Erased player",
        clause="belonged to erased players",
        remedy="Nothing to do. The data of the player was erased.",
        next_step="Nothing to do. The data of their players was erased.",
    ),
    Reason.TEST_TRAFFIC: ReasonText(
        short="Test traffic",
        clause="were test traffic",
        remedy="Nothing to do. Test traffic is never sent to a real network. To send the event, use a production key.",
        next_step="Send events with a production key.",
    ),
    Reason.REPEAT_LAUNCH: ReasonText(
        short="Not the first launch",
        clause="were not the player's first launch",
        remedy="Nothing to do. Only the first launch of a player counts, and the player already has one.",
        next_step="Nothing to do. Only a player's first launch counts.",
    ),
    Reason.REFUND: ReasonText(
        short="Refund",
        clause="were refunds",
        remedy="Nothing to do. A purchase with a negative amount is a refund and would count as another purchase. Send "
        "refunds as a separate event, such as order_refunded, which a goal can count.",
        next_step="Send refunds as a separate event, not as purchases with a negative amount.",
    ),
    Reason.NO_CLICK: ReasonText(
        short="No ad click",
        clause="had no ad click",
        remedy="Nothing to do if the player did not come from an ad. Otherwise, check that the ad link keeps its click "
        "ID up to your landing page, that the page sends an event with the click ID, and that signing in links the "
        "page visit to the player.",
        next_step="Check that the ad links contain {click_param} and that the landing page or game reports it.",
    ),
    Reason.OUTSIDE_WINDOW: ReasonText(
        short="Click older than the window",
        clause="were too long after the ad click",
        remedy="Nothing to do for this conversion. For future conversions, an admin can increase the "
        "attribution window in Game settings.",
        next_step="Check the attribution window of the game.",
    ),
    Reason.SHARED_ID: ReasonText(
        short="ID shared by many players",
        clause="had only an ID that many players share",
        remedy="Send the user ID with the event. More than 50 players used this anonymous or device ID, so "
        "it does not identify the player.",
        next_step="Send the user ID with events from devices that many players use.",
    ),
    Reason.OTHER_NETWORK: ReasonText(
        short="No postback for the click’s network",
        clause="were attributed to another network",
        remedy="Add a postback for the network of this click under Integrations, if you advertise there.",
        next_step="Check that the ad links contain {click_param} and that the landing page or game reports it.",
        total="Attributed to another network",
    ),
    Reason.CONFIG_DELETED: ReasonText(
        short="Postback deleted",
        clause="were waiting when the postback was deleted",
        remedy="Nothing to do for this conversion: unsent conversions of a deleted postback are not sent. For future "
        "conversions, add a postback under Integrations.",
        next_step="Add a postback for future conversions.",
    ),
    Reason.CONFIG_DISABLED: ReasonText(
        short="Postback disabled for this event",
        clause="were received while the postback was disabled for them",
        remedy="To send conversions like this one, enable the postback or this trigger event under "
        "Integrations. An event can also exclude a network itself, with its integrations field.",
        next_step="Check which trigger events of the postback are selected.",
        total="No goal counts the event, the postback is disabled, or the client excluded the network",
    ),
    Reason.FILTERED: ReasonText(
        short="Goal’s condition not met",
        clause="did not meet the goal's condition",
        remedy="To count conversions like this one, change the goal’s condition under Integrations.",
        next_step="Check the condition of the postback's goals.",
    ),
    Reason.NOT_FROM_SERVER: ReasonText(
        short="Not from a server key",
        clause="were not sent with a server key",
        remedy="Nothing to do if the event is fake: with a public key, anyone can send events. Report real events from "
        "your own server with a server key, or set the goal to count events from any key under Integrations.",
        next_step="Send these events from your own server with a server key, as the goal requires.",
    ),
    Reason.NOT_MAPPED: ReasonText(
        short="Event not mapped",
        clause="were of an event that is not mapped to an event of the network",
        remedy="To send this event, enter the network’s event ID in the settings of the postback. This network "
        "identifies events by an ID that you create there.",
        next_step="Enter the network’s ID for each event that should be sent, in the postback's settings.",
    ),
    Reason.REPEAT: ReasonText(
        short="Already counted once",
        clause="were repeats of a goal that counts once",
        remedy="Nothing to do. The goal counts once per player. To count every event, change the goal.",
        next_step="Check whether the postback's goals should count once per player.",
    ),
    Reason.CONSENT: ReasonText(
        short="No consent",
        clause="lacked the player's consent",
        remedy="Nothing to do. The player did not consent. If the player consents, later conversions are sent.",
        next_step="Check which consent level the game sends with its events.",
    ),
    Reason.LIMITED_USE: ReasonText(
        short="Data use limited",
        clause="allowed only a limited use of their data, which the network does not support",
        remedy="Nothing to do. The event or a setting of the game limits the use of the player’s data, and this "
        "network does not support that.",
        next_step="Check “Limited data use” on the Privacy page: this network does not support it.",
    ),
    Reason.NO_MATCH_KEY: ReasonText(
        short="No match key",
        clause="had no match key",
        remedy="Send the player’s email with identify, or make sure that the click ID reaches your landing page: "
        "without one of them, the network cannot match the conversion.",
        next_step="Send {click_param} or an email address with the events.",
    ),
    Reason.NO_VALUE: ReasonText(
        short="No value to send",
        clause="had no value, which the network requires for this event",
        remedy="Send the event with its amount and its currency as ISO 4217 letters, such as 9.99 and USD. Some "
        "networks accept only some currencies. See the documentation of the network.",
        next_step="Send these events with a value and an ISO 4217 currency that the network accepts.",
    ),
    Reason.TOO_OLD: ReasonText(
        short="Too old for the network",
        clause="were too old for the network",
        remedy="Nothing to do for this conversion. Send events when they happen: the network refuses events that are "
        "too old.",
        next_step="Send events within a day.",
    ),
    Reason.REPEAT_ORDER: ReasonText(
        short="Order already counted",
        clause="were of an order that was already counted",
        remedy="Nothing to do. Another purchase of this player has the same order ID, and an order counts once. To "
        "count every event, add a goal for purchase with “Every event of an order”.",
        next_step="Nothing to do if the client and the server both report an order. Otherwise, give each order its "
        "own ID.",
    ),
}
ORDER = tuple(TEXTS)


def remedy(reason: str, network: str) -> str:
    """What to do about one conversion that is not sent for this reason, with what its network needs."""
    return _with_needs(reason, network, TEXTS[reason].remedy)


def next_step(reason: str, network: str) -> str:
    """What to check if most conversions of a postback to the network have this reason."""
    click_param = NETWORKS[network].click_param if network in NETWORKS else ""
    return _with_needs(reason, network, TEXTS[reason].next_step.format(click_param=click_param or "a click ID"))


def _with_needs(reason: str, network: str, text: str) -> str:
    needs = NETWORKS[network].match_key_help if network in NETWORKS else ""
    return needs if needs and reason == Reason.NO_MATCH_KEY else text
