"""The fields of an event sent to Google Ads: their notes, and the match keys."""

from postbacks.networks.interface.matching import ANY, MatchKey

EVENT = ("events", "0")
CLICK = (*EVENT, "adIdentifiers")
CONTACT = (*EVENT, "userData", "userIdentifiers", ANY)
# Google publishes no weights: the weights are ours. A gclid has 60 points in all. A gbraid or wbraid is of a group of
# clicks and has 45. Session attributes and the IP address are not sent.
MATCH_KEYS = (
    MatchKey(
        "click_id",
        "Click ID",
        45,
        ((*CLICK, "gclid"), (*CLICK, "gbraid"), (*CLICK, "wbraid")),
        "Keep the query of the landing page in the page URL that you send, and auto-tagging on in Google Ads.",
        any_path=True,
    ),
    # Not `email` and `phone`, which count an event as unusable that states them while the postback sends none.
    MatchKey(
        "sent_email",
        "Email",
        20,
        ((*CONTACT, "emailAddress"),),
        "Identify players with the trait email, and enable “Send email and phone” here and at Google.",
    ),
    MatchKey(
        "gclid",
        "Click ID of one click (gclid)",
        15,
        ((*CLICK, "gclid"),),
        "Keep auto-tagging on in Google Ads. Clicks on iOS may have a gbraid or wbraid instead.",
    ),
    MatchKey(
        "sent_phone",
        "Phone number",
        10,
        ((*CONTACT, "phoneNumber"),),
        "Identify players with the trait phone, and enable “Send email and phone” here and at Google.",
    ),
    MatchKey(
        "browser",
        "Browser",
        10,
        ((*CLICK, "landingPageDeviceInfo", "userAgent"),),
        "Send page events from the player's browser, not from your server.",
    ),
)
SECRET = ("Header Authorization", "An access token, issued for the service account key and never shown")
NOTES = {
    "destinations.reference": "A name of the destination in this request",
    "destinations.operatingAccount.accountType": "Kind of account",
    "destinations.operatingAccount.accountId": "The customer ID",
    "destinations.loginAccount.accountType": "Kind of account",
    "destinations.loginAccount.accountId": "The manager account through which the service account has access",
    "destinations.productDestinationId": "The conversion action that counts the event",
    "events.eventTimestamp": "Time of the event",
    "events.transactionId": "The ID by which Google Ads detects duplicates, the same on every attempt",
    "events.eventSource": "Where the event happened: on the web",
    "events.adIdentifiers.gclid": "Click ID of the ad, unchanged",
    "events.adIdentifiers.gbraid": "ID of a click that leads to an iOS app, unchanged",
    "events.adIdentifiers.wbraid": "ID of a click on iOS that leads to a page, unchanged",
    "events.adIdentifiers.landingPageDeviceInfo.userAgent": "Browser at the time of the click",
    "events.userData.userIdentifiers.emailAddress": "SHA-256 of the email, by Google’s rule",
    "events.userData.userIdentifiers.phoneNumber": "SHA-256 of the phone number, with its country code",
    "events.conversionValue": "Amount paid; 0 for a purchase without an amount",
    "events.currency": "Currency",
    "events.consent.adUserData": "Whether Google may use the player’s data for ads",
    "events.consent.adPersonalization": "Whether Google may personalize ads for the player",
    "encoding": "How the hashes are written",
    "validateOnly": "Only checked, not counted",
}
