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
        "Keep the query of the landing page in the page URL that you send, so that the click is recognised.",
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
    "test_event_code": "Shown on Test Events, and counted by Meta all the same",
    "data.event_name": "Meta’s name of the event",
    "data.event_time": "When it happened, in seconds since 1970",
    "data.event_id": "What Meta counts once by, with the event name, the same on every attempt",
    "data.action_source": "Where it happened: website unless the postback says otherwise",
    "data.event_source_url": "Page of the click",
    "data.referrer_url": "Where the click came from",
    "data.user_data.em": "SHA-256 of the email, in lower case",
    "data.user_data.ph": "SHA-256 of the phone number, digits only with its country code",
    "data.user_data.external_id": "SHA-256 of the user ID, or without one of the anonymous ID",
    "data.user_data.fn": "SHA-256 of the first name, in lower case",
    "data.user_data.ln": "SHA-256 of the last name, in lower case",
    "data.user_data.ct": "SHA-256 of the city, in lower case",
    "data.user_data.st": "SHA-256 of the state or region, in lower case",
    "data.user_data.zp": "SHA-256 of the postal code",
    "data.user_data.country": "SHA-256 of the country, as two letters",
    "data.user_data.client_ip_address": "IP address at the time of the click",
    "data.user_data.client_user_agent": "Browser at the time of the click",
    "data.user_data.fbc": "Click ID of the ad and when it was seen: Meta’s cookie, or made of the fbclid as it came",
    "data.user_data.fbp": "Meta’s browser cookie, as it came",
    "data.custom_data.value": "What was paid",
    "data.custom_data.currency": "In which currency",
    "data.custom_data.order_id": "Number of the order",
    "data.custom_data.content_type": "What the items are",
    "data.custom_data.content_ids": "IDs of the items",
    "data.custom_data.contents.id": "ID of the item",
    "data.custom_data.contents.quantity": "How many",
    "data.custom_data.contents.item_price": "Price of one",
    "data.custom_data.num_items": "How many items",
    "data.data_processing_options": "LDU: Meta may use the event in a limited way only",
    "data.data_processing_options_country": "Country whose law applies, 0 if Meta decides",
    "data.data_processing_options_state": "State whose law applies, 0 if Meta decides",
}
