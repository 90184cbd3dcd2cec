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
        "Keep the query of the landing page in the page URL that you send, so that the click is recognized.",
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
    "conversions.conversion_time": "Time of the event, in UTC",
    "conversions.event_id": "Event ID of the goal, from Events Manager",
    "conversions.identifiers.twclid": "Click ID of the ad, unchanged",
    "conversions.identifiers.hashed_email": "SHA-256 of the email, in lowercase",
    "conversions.identifiers.hashed_phone_number": "SHA-256 of the phone number, with + and its country code",
    "conversions.identifiers.ip_address": "IP address at the time of the click",
    "conversions.identifiers.user_agent": "Browser at the time of the click",
    "conversions.conversion_id": "The ID by which X detects duplicates, the same on every attempt",
    "conversions.value": "Amount paid",
    "conversions.price_currency": "Currency",
    "conversions.number_items": "Number of items",
}
