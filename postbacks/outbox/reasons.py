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
        remedy="Nothing: the player asked to be forgotten.",
        next_step="Nothing to do: their players asked to be forgotten.",
    ),
    Reason.TEST_TRAFFIC: ReasonText(
        short="Test traffic",
        clause="were test traffic",
        remedy="Nothing: test traffic never reaches a real network. Send the event with a live key.",
        next_step="Send events with a live key.",
    ),
    Reason.REPEAT_LAUNCH: ReasonText(
        short="Not the first launch",
        clause="were not the player's first launch",
        remedy="Nothing: a player’s first launch counts, and there is one already.",
        next_step="Nothing to do: a player's first launch counts.",
    ),
    Reason.REFUND: ReasonText(
        short="Refund",
        clause="were refunds",
        remedy="Nothing: a purchase with a negative amount is a refund, and would count as one more purchase. Send it "
        "as an event of its own, such as order_refunded; a goal can count that.",
        next_step="Send refunds as an event of their own, not as purchases with a negative amount.",
    ),
    Reason.NO_CLICK: ReasonText(
        short="No ad click known",
        clause="had no ad click",
        remedy="Nothing, if the player came by themselves. If they came from an ad: check that the ad’s link keeps its "
        "click ID up to your landing page, that the page sends an event with it, and that signing in joins the two.",
        next_step="Check that the ad links carry {click_param} and that the landing page or game reports it.",
    ),
    Reason.OUTSIDE_WINDOW: ReasonText(
        short="Click older than the window",
        clause="came too long after the ad click",
        remedy="Nothing for this one. For later ones, an admin can lengthen the attribution window in Game settings.",
        next_step="Check the attribution window of the game.",
    ),
    Reason.SHARED_ID: ReasonText(
        short="Id shared by many",
        clause="had nothing but an id that many players share",
        remedy="Send the user id with the event: more than 50 players used this anonymous or device id, so that it "
        "does not tell whose event this is.",
        next_step="Send the user id with events from machines that many players use.",
    ),
    Reason.OTHER_NETWORK: ReasonText(
        short="No postback for the click’s network",
        clause="came from another network's click",
        remedy="Add a postback for the network of this click under Integrations, if you advertise there.",
        next_step="Check that the ad links carry {click_param} and that the landing page or game reports it.",
        total="The ad click was another network's",
    ),
    Reason.CONFIG_DELETED: ReasonText(
        short="Postback deleted",
        clause="waited when the postback was deleted",
        remedy="Nothing for this one: what a postback had not sent when it was deleted is not sent. Add a postback "
        "under Integrations for the conversions to come.",
        next_step="Add a postback for the conversions to come.",
    ),
    Reason.CONFIG_DISABLED: ReasonText(
        short="Postback off for this event",
        clause="came while the postback was switched off for them",
        remedy="Switch the postback or this trigger event on under Integrations, if conversions like this one should "
        "be sent. An event that names its destinations itself (integrations) can leave a network out, too.",
        next_step="Check which trigger events of the postback are ticked.",
        total="No goal counts the event, the postback is off, or the sender excluded it",
    ),
    Reason.FILTERED: ReasonText(
        short="Goal’s condition not met",
        clause="did not meet the goal's condition",
        remedy="Change the goal’s condition under Integrations, if conversions like this one should count.",
        next_step="Check the condition of the postback's goals.",
    ),
    Reason.NOT_FROM_SERVER: ReasonText(
        short="Not from a server key",
        clause="did not come with a server key",
        remedy="Nothing, if it was made up: with a public key anyone can send events. Report real ones from your own "
        "server, with a server key; or have the goal count events from any key, under Integrations.",
        next_step="Send these events from your own server with a server key, as the goal asks.",
    ),
    Reason.NOT_MAPPED: ReasonText(
        short="Event not mapped",
        clause="were of an event that is not mapped to one of the network's",
        remedy="Enter the network’s ID for this event in the settings of the postback, if it should be sent. That "
        "network knows events by an ID that you create there.",
        next_step="Enter the network’s ID for each event that should be sent, in the postback's settings.",
    ),
    Reason.REPEAT: ReasonText(
        short="Counted once already",
        clause="were repeats of a goal that counts once",
        remedy="Nothing: the goal counts once per player. Make it repeatable if every one should count.",
        next_step="Check whether the postback's goals should count once per player.",
    ),
    Reason.CONSENT: ReasonText(
        short="No consent",
        clause="lacked the player's consent",
        remedy="Nothing: the player’s choice stands. Once they consent, their next conversions are sent.",
        next_step="Check which consent level the game sends with its events.",
    ),
    Reason.LIMITED_USE: ReasonText(
        short="Data use limited",
        clause="allowed a limited use of their data only, which the network does not offer",
        remedy="Nothing: the event or a rule of the game limits the use of the player’s data, and this network has no "
        "mode for that.",
        next_step="Check “Limited data use” on the Privacy page: this network has no mode for it.",
    ),
    Reason.NO_MATCH_KEY: ReasonText(
        short="Nothing to match by",
        clause="held nothing to match the player by",
        remedy="Send the player’s email with identify, or make sure that the click ID reaches your landing page: "
        "without either, the network cannot tell whose conversion it is.",
        next_step="Send {click_param} or an email address with the events.",
    ),
    Reason.NO_VALUE: ReasonText(
        short="No value to send",
        clause="had no value, which the network needs with this event",
        remedy="Send the event with its amount and its currency as ISO 4217 letters, such as 9.99 and USD. Some "
        "networks accept only some currencies: see the document of the network.",
        next_step="Send these events with a value and an ISO 4217 currency that the network accepts.",
    ),
    Reason.TOO_OLD: ReasonText(
        short="Too old for the network",
        clause="came too late for the network to accept",
        remedy="Nothing for this one. Send events when they happen: the network refuses older ones than its limit.",
        next_step="Send events within a day of their happening.",
    ),
    Reason.REPEAT_ORDER: ReasonText(
        short="Order counted already",
        clause="were of an order that counted already",
        remedy="Nothing: another purchase of this player states the same order id, and an order counts once. If every "
        "event should count, add a goal for purchase with “Every event of an order”.",
        next_step="Nothing to do, if client and server both report an order. Otherwise give each order its own id.",
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
