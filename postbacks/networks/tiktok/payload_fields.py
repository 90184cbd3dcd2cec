"""The fields of an event sent to TikTok: their notes, and the match keys."""

from postbacks.networks.interface.matching import MatchKey

USER = ("data", "0", "user")
# In the order that integrators report (click ID, then email and phone, then external ID, `_ttp`, address and agent).
# TikTok publishes no weights: the weights are ours.
MATCH_KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        40,
        ((*USER, "ttclid"),),
        "Keep the query of the landing page in the page URL that you send, so that the click is recognised.",
    ),
    MatchKey("email", "Email", 20, ((*USER, "email"),), "Identify players with the trait email."),
    MatchKey("phone", "Phone number", 20, ((*USER, "phone"),), "Identify players with the trait phone."),
    MatchKey("external_id", "User ID", 10, ((*USER, "external_id"),), "Send a user ID with your events."),
    MatchKey("browser_id", "Browser cookie", 5, ((*USER, "ttp"),), "Send the _ttp cookie with your web events."),
    MatchKey(
        "connection",
        "IP address and browser",
        5,
        ((*USER, "ip"), (*USER, "user_agent")),
        "Send page events from the player's browser, not from your server.",
    ),
)
SECRET = ("Header Access-Token", "The access token, never shown")
NOTES = {
    "event_source": "Kind of source: web for a pixel",
    "event_source_id": "The pixel code",
    "test_event_code": "Test Events only, counted nowhere",
    "data.event": "TikTok’s name of the event",
    "data.event_time": "When it happened, in seconds since 1970",
    "data.event_id": "What TikTok counts once by, the same on every attempt",
    "data.user.ttclid": "Click ID of the ad, as it came",
    "data.user.ttp": "TikTok’s browser cookie, as it came",
    "data.user.email": "SHA-256 of the email, in lower case",
    "data.user.phone": "SHA-256 of the phone number, with its country code",
    "data.user.external_id": "SHA-256 of the user ID",
    "data.user.ip": "IP address at the time of the click",
    "data.user.user_agent": "Browser at the time of the click",
    "data.user.locale": "Language of the player",
    "data.user.first_name": "SHA-256 of the first name, in lower case",
    "data.user.last_name": "SHA-256 of the last name, in lower case",
    "data.user.city": "City of the player, in lower case",
    "data.user.state": "State or region of the player, in lower case",
    "data.user.country": "Country of the player, as two letters",
    "data.user.zip_code": "SHA-256 of the postal code",
    "data.properties.value": "What was paid",
    "data.properties.currency": "In which currency",
    "data.properties.content_type": "What the items are",
    "data.properties.contents.content_id": "ID of the item",
    "data.properties.contents.content_name": "Name of the item",
    "data.properties.contents.content_category": "Category of the item",
    "data.properties.contents.price": "Price of one",
    "data.properties.contents.quantity": "How many",
    "data.properties.order_id": "Number of the order",
    "data.limited_data_use": "Whether TikTok may use the event in a limited way only",
    "data.page.url": "Page of the click",
    "data.page.referrer": "Where the click came from",
}
