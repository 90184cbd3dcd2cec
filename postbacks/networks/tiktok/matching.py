"""What TikTok matches an event by, and our weights.

The order is the one that integrators report (click ID, then email and phone, then external ID, `_ttp`, address and
agent). TikTok publishes no weights: the weights are ours.
"""

from postbacks.networks.interface.matching import MatchKey

USER = ("data", "0", "user")
KEYS = (
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
