"""The fields of an event sent to Reddit: their notes, and the match keys."""

from postbacks.networks.interface.matching import MatchKey

EVENT = ("data", "events", "0")
USER = (*EVENT, "user")
# Reddit publishes no weights: the weights are ours. A click ID or an email is what it needs at least.
MATCH_KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        40,
        ((*EVENT, "click_id"),),
        "Keep the query of the landing page in the page URL that you send, so that the click is recognized.",
    ),
    MatchKey("email", "Email", 25, ((*USER, "email"),), "Identify players with the trait email."),
    MatchKey("external_id", "User ID", 10, ((*USER, "external_id"),), "Send a user ID with your events."),
    MatchKey("phone", "Phone number", 10, ((*USER, "phone_number"),), "Identify players with the trait phone."),
    MatchKey(
        "connection",
        "IP address and browser",
        10,
        ((*USER, "ip_address"), (*USER, "user_agent")),
        "Send page events from the player's browser, not from your server.",
    ),
    MatchKey("browser_id", "Browser cookie", 5, ((*USER, "uuid"),), "Send the _rdt_uuid cookie with your web events."),
)
SECRET = ("Header Authorization", "The conversion access token, never shown")
NOTES = {
    "data.test_id": "Event Testing only, not counted",
    "data.events.event_at": "Time of the event, in milliseconds since 1970",
    "data.events.action_source": "Kind of source: WEBSITE for a pixel",
    "data.events.type.tracking_type": "Reddit’s name for the event, CUSTOM for your own events",
    "data.events.type.custom_event_name": "Name of your custom event",
    "data.events.click_id": "Click ID of the ad, unchanged",
    "data.events.event_source_url": "Page of the click",
    "data.events.user.email": "SHA-256 of the email, in lowercase, without dots and +tags",
    "data.events.user.phone_number": "SHA-256 of the phone number, with its country code",
    "data.events.user.external_id": "SHA-256 of the user ID",
    "data.events.user.ip_address": "IP address at the time of the click",
    "data.events.user.user_agent": "Browser at the time of the click",
    "data.events.user.uuid": "Reddit’s browser cookie, unchanged",
    "data.events.user.idfa": "SHA-256 of Apple’s advertising ID",
    "data.events.user.aaid": "SHA-256 of Android’s advertising ID",
    "data.events.user.screen_dimensions.width": "Width of the screen in pixels",
    "data.events.user.screen_dimensions.height": "Height of the screen in pixels",
    "data.events.user.data_processing_options.modes": "LDU: Reddit may use the event only in a limited way",
    "data.events.user.data_processing_options.country": "Country whose law applies",
    "data.events.user.data_processing_options.region": "State whose law applies",
    "data.events.metadata.conversion_id": "The ID by which Reddit detects duplicates, the same on every attempt",
    "data.events.metadata.value": "Amount paid",
    "data.events.metadata.currency": "Currency",
    "data.events.metadata.item_count": "Number of items",
    "data.events.metadata.products.id": "ID of the item",
    "data.events.metadata.products.name": "Name of the item",
    "data.events.metadata.products.category": "Category of the item",
    "data.events.metadata.products.item_price": "Price per item",
    "data.events.metadata.products.quantity": "Quantity",
}
