"""The fields of an event sent to Meta: their notes, and the match keys."""

from postbacks.networks.interface.matching import MatchKey

USER = ("data", "0", "user_data")
# Meta publishes no weights: the weights are ours.
MATCH_KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        40,
        ((*USER, "fbc"),),
        "Keep the query of the landing page in the page URL that you send, so that the click is recognized.",
    ),
    MatchKey("email", "Email", 20, ((*USER, "em"),), "Identify players with the trait email."),
    MatchKey(
        "connection",
        "IP address and browser",
        15,
        ((*USER, "client_ip_address"), (*USER, "client_user_agent")),
        "Send page events from the player's browser, not from your server.",
    ),
    MatchKey("phone", "Phone number", 10, ((*USER, "ph"),), "Identify players with the trait phone."),
    MatchKey("external_id", "User or anonymous ID", 10, ((*USER, "external_id"),), "Send a user ID with your events."),
    # Not browser_id, of which every cookie of the network is a fact: _fbc alone is no unusable _fbp.
    MatchKey("fbp", "Browser cookie", 5, ((*USER, "fbp"),), "Send the _fbp cookie with your web events."),
)
SECRET = ("Header Authorization", "The access token, never shown")
NOTES = {
    "test_event_code": "Shown on Test Events, but also counted by Meta",
    "data.event_name": "Meta’s name for the event",
    "data.event_time": "Time of the event, in seconds since 1970",
    "data.event_id": "The ID by which Meta detects duplicates, together with the event name; the same on every attempt",
    "data.action_source": "Where the event happened: website, unless the postback has another setting",
    "data.event_source_url": "Page of the click",
    "data.referrer_url": "Where the click came from",
    "data.user_data.em": "SHA-256 of the email, in lowercase",
    "data.user_data.ph": "SHA-256 of the phone number, digits only with its country code",
    "data.user_data.external_id": "SHA-256 of the user ID, otherwise of the anonymous ID",
    "data.user_data.fn": "SHA-256 of the first name, in lowercase",
    "data.user_data.ln": "SHA-256 of the last name, in lowercase",
    "data.user_data.ct": "SHA-256 of the city, in lowercase",
    "data.user_data.st": "SHA-256 of the state or region, in lowercase",
    "data.user_data.zp": "SHA-256 of the postal code",
    "data.user_data.country": "SHA-256 of the country, as two letters",
    "data.user_data.client_ip_address": "IP address at the time of the click",
    "data.user_data.client_user_agent": "Browser at the time of the click",
    "data.user_data.fbc": "Click ID of the ad and its time: Meta’s cookie, or created from the unchanged fbclid",
    "data.user_data.fbp": "Meta’s browser cookie, unchanged",
    "data.custom_data.value": "Amount paid",
    "data.custom_data.currency": "Currency",
    "data.custom_data.order_id": "Order ID",
    "data.custom_data.content_type": "What the items are",
    "data.custom_data.content_ids": "IDs of the items",
    "data.custom_data.contents.id": "ID of the item",
    "data.custom_data.contents.quantity": "Quantity",
    "data.custom_data.contents.item_price": "Price per item",
    "data.custom_data.num_items": "Number of items",
    "data.data_processing_options": "LDU: Meta may use the event only in a limited way",
    "data.data_processing_options_country": "Country whose law applies, 0 if Meta decides",
    "data.data_processing_options_state": "State whose law applies, 0 if Meta decides",
}
