"""The fields of an event sent to Snapchat: their notes, and the match keys."""

from postbacks.networks.interface.matching import MatchKey

USER = ("data", "0", "user_data")
# Snap publishes no weights: the weights are ours.
MATCH_KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        40,
        ((*USER, "sc_click_id"),),
        "Keep the query of the landing page in the page URL that you send, so that the click is recognized.",
    ),
    MatchKey("email", "Email", 20, ((*USER, "em", "0"),), "Identify players with the trait email."),
    MatchKey("phone", "Phone number", 15, ((*USER, "ph", "0"),), "Identify players with the trait phone."),
    MatchKey(
        "connection",
        "IP address and browser",
        15,
        ((*USER, "client_ip_address"), (*USER, "client_user_agent")),
        "Send page events from the player's browser, not from your server.",
    ),
    # Not `browser_id`, which counts an event as unusable that states the other cookie only, the one of the click.
    MatchKey("cookie", "Browser cookie", 5, ((*USER, "sc_cookie1"),), "Send the _scid cookie with your web events."),
    MatchKey(
        "external_id", "User or anonymous ID", 5, ((*USER, "external_id", "0"),), "Send a user ID with your events."
    ),
)
MATCH_KEY_HELP = (
    "Snapchat does not accept events with only a click ID. Send page events from the player’s browser, so that the "
    "click has its IP address and user agent, or identify players with an email or phone number. For a player who "
    "consents "
    "to anonymous tracking only, nothing can be sent to Snapchat."
)
SECRET = ("Parameter access_token", "The access token, never shown")
NOTES = {
    "data.event_name": "Snapchat’s name for the event",
    "data.event_time": "Time of the event, in seconds since 1970",
    "data.action_source": "Kind of source: WEB for a pixel",
    "data.event_source_url": "Page of the click",
    "data.event_id": "The ID by which Snapchat detects duplicates, the same on every attempt",
    "data.user_data.em": "SHA-256 of the email, in lowercase",
    "data.user_data.ph": "SHA-256 of the phone number: its digits, with the country code",
    "data.user_data.external_id": "SHA-256 of the user ID, otherwise of the anonymous ID",
    "data.user_data.fn": "SHA-256 of the first name, in lowercase",
    "data.user_data.ln": "SHA-256 of the last name, in lowercase",
    "data.user_data.ct": "SHA-256 of the city, in lowercase",
    "data.user_data.st": "SHA-256 of the state, as two letters",
    "data.user_data.zp": "SHA-256 of the postal code",
    "data.user_data.country": "SHA-256 of the country, as two letters",
    "data.user_data.client_ip_address": "IP address at the time of the click",
    "data.user_data.client_user_agent": "Browser at the time of the click",
    "data.user_data.sc_click_id": "Click ID of the ad, unchanged",
    "data.user_data.sc_cookie1": "Snapchat’s browser cookie, unchanged",
    "data.custom_data.value": "Amount paid",
    "data.custom_data.currency": "Currency",
    "data.custom_data.order_id": "Order ID, by which Snapchat counts a purchase once",
    "data.custom_data.content_ids": "IDs of the items",
    "data.custom_data.contents.id": "ID of the item",
    "data.custom_data.contents.quantity": "Quantity",
    "data.custom_data.contents.item_price": "Price per item",
    "data.custom_data.num_items": "Number of items",
    "data.data_processing_options": "LDU: Snapchat may use the event only in a limited way",
    "data.data_processing_options_country": "Country whose law applies: 1 for the USA, 0 if Snapchat determines it",
    "data.data_processing_options_state": "State whose law applies: 1000 for California, 0 if Snapchat determines it",
}
