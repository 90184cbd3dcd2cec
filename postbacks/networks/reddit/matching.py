"""What Reddit matches an event by, and our weights.

A click ID or an email is what it needs at least. It publishes no weights: the weights are ours.
"""

from postbacks.networks.interface.matching import MatchKey

EVENT = ("data", "events", "0")
USER = (*EVENT, "user")
KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        40,
        ((*EVENT, "click_id"),),
        "Keep the query of the landing page in the page URL that you send, so that the click is recognised.",
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
