"""The fields of a conversion sent to X: their notes, and the match keys."""

from postbacks.networks.interface.matching import ANY, MatchKey

IDENTIFIERS = ("conversions", "0", "identifiers", ANY)
# X publishes no weights: the weights are ours.
MATCH_KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        50,
        ((*IDENTIFIERS, "twclid"),),
        "Keep the query of the landing page in the page URL that you send, so that the click is recognised.",
    ),
    MatchKey("email", "Email", 25, ((*IDENTIFIERS, "hashed_email"),), "Identify players with the trait email."),
    MatchKey(
        "phone", "Phone number", 15, ((*IDENTIFIERS, "hashed_phone_number"),), "Identify players with the trait phone."
    ),
    MatchKey(
        "connection",
        "IP address and browser",
        10,
        ((*IDENTIFIERS, "ip_address"), (*IDENTIFIERS, "user_agent")),
        "Send page events from the player's browser, not from your server.",
    ),
)
SECRET = ("Header X-Pixel-Token", "The pixel access token, never shown")
NOTES = {
    "conversions.conversion_time": "When it happened, in UTC",
    "conversions.event_id": "Event ID of the goal: which event of Events Manager this is",
    "conversions.identifiers.twclid": "Click ID of the ad, as it came",
    "conversions.identifiers.hashed_email": "SHA-256 of the email, in lower case",
    "conversions.identifiers.hashed_phone_number": "SHA-256 of the phone number, with + and its country code",
    "conversions.identifiers.ip_address": "IP address at the time of the click",
    "conversions.identifiers.user_agent": "Browser at the time of the click",
    "conversions.conversion_id": "What X counts once by, the same on every attempt",
    "conversions.value": "What was paid",
    "conversions.price_currency": "In which currency",
    "conversions.number_items": "How many items",
}
