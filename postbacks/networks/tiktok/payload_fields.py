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
        "Keep the query of the landing page in the page URL that you send, so that the click is recognized.",
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
    "test_event_code": "Test Events only, not counted",
    "data.event": "TikTok’s name for the event",
    "data.event_time": "Time of the event, in seconds since 1970",
    "data.event_id": "The ID by which TikTok detects duplicates, the same on every attempt",
    "data.user.ttclid": "Click ID of the ad, unchanged",
    "data.user.ttp": "TikTok’s browser cookie, unchanged",
    "data.user.email": "SHA-256 of the email, in lowercase",
    "data.user.phone": "SHA-256 of the phone number, with its country code",
    "data.user.external_id": "SHA-256 of the user ID",
    "data.user.ip": "IP address at the time of the click",
    "data.user.user_agent": "Browser at the time of the click",
    "data.user.locale": "Language of the player",
    "data.user.first_name": "SHA-256 of the first name, in lowercase",
    "data.user.last_name": "SHA-256 of the last name, in lowercase",
    "data.user.city": "City of the player, in lowercase",
    "data.user.state": "State or region of the player, in lowercase",
    "data.user.country": "Country of the player, as two letters",
    "data.user.zip_code": "SHA-256 of the postal code",
    "data.properties.value": "Amount paid",
    "data.properties.currency": "Currency",
    "data.properties.content_type": "What the items are",
    "data.properties.contents.content_id": "ID of the item",
    "data.properties.contents.content_name": "Name of the item",
    "data.properties.contents.content_category": "Category of the item",
    "data.properties.contents.price": "Price per item",
    "data.properties.contents.quantity": "Quantity",
    "data.properties.order_id": "Order ID",
    "data.limited_data_use": "Whether TikTok may use the event only in a limited way",
    "data.page.url": "Page of the click",
    "data.page.referrer": "Where the click came from",
}
