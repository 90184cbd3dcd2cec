"""What each event of a webhook means, in words for the forms."""

from postbacks.models import HookEvent

# Follows the label of the event.
DESCRIPTIONS: dict[str, str] = {
    HookEvent.ALERT_OPENED: "a postback stopped delivering",
    HookEvent.ALERT_RECOVERED: "the postback recovered, or was disabled or deleted",
    HookEvent.CONVERSION_DELIVERED: "a network accepted a conversion",
    HookEvent.CONVERSION_CONFIRMED: "a network that reports later, such as Google Ads, counted a conversion",
    HookEvent.CONVERSION_FAILED: "a network refused a conversion, or could not be reached in time",
    HookEvent.CONVERSION_NOT_SENT: "a postback did not send a conversion of its ad clicks, for example without consent",
    HookEvent.ERASURE_COMPLETED: "the data of a player was erased",
    HookEvent.ERASURE_FAILED: "an erasure failed several times and has to be started again",
}


def choices() -> list[tuple[str, str]]:
    """Return [(event, text), ...] for a form."""
    return [(event.value, f"{event.label}: {DESCRIPTIONS[event]}") for event in HookEvent]
