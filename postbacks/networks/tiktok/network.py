"""TikTok Ads: the texts for its pages, and the functions of the interface."""

from datetime import datetime, timedelta

from postbacks.networks.interface.call import Outcome, Request, Response, Target
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import USER_AGENT, Network
from postbacks.networks.interface.ready_goals import OWN_NAME
from postbacks.networks.interface.values import json_body
from postbacks.networks.tiktok import answers, payload, payload_fields


class TikTok(Network):
    kind = "tiktok"
    label = "TikTok Ads"
    summary = "Ads on TikTok. Conversions are sent to the Events API with a pixel code and an access token."
    events = payload.EVENTS
    standard_events = payload.STANDARD_EVENTS
    ready_goals = {
        "sign_up": "CompleteRegistration",
        "wishlist_add": "AddToWishlist",
        "email_acquired": "SubmitForm",
        "tutorial": OWN_NAME,
        "level": OWN_NAME,
        "achievement": OWN_NAME,
        "subscription": "Subscribe",
    }
    custom_events = True
    custom_event_pattern = payload.CUSTOM_NAME
    custom_event_help = (
        "A custom name has at most 50 letters, digits, spaces, dots, colons, hyphens and underscores. "
        "TikTok cannot optimize for custom events. Select a standard event if possible."
    )
    pixel_label = "Pixel code"
    # Twenty of A-Z and 0-9 in every example seen; TikTok has published no rule, so the pattern is loose.
    pixel_pattern = r"^[A-Za-z0-9]{10,40}$"
    pixel_help = (
        "About 20 letters and digits, shown in Events Manager next to the pixel's name. The name itself does not work."
    )
    credential_fields = (
        CredentialField(
            name="token",
            label="Access token",
            help="In Events Manager: your pixel, Settings, Generate Access Token. TikTok shows it only once.",
        ),
    )
    credential_steps = (
        "Open TikTok Events Manager with an account that has Business Center admin rights on the pixel. Use a "
        "service account if possible, because its token continues to work when someone leaves the team.",
        "Open your pixel, then Settings, then Generate Access Token.",
        "Copy the token immediately: TikTok shows it only once. It stays valid until someone revokes it.",
    )
    pixel_steps = (
        "Open TikTok Events Manager and find your pixel in the list.",
        "Copy the pixel code that is shown next to the pixel's name, not the name itself.",
    )
    test_code_label = "Test event code"
    test_code_help = "From Events Manager, Test Events (like TEST12345). Used for this check only and never stored."
    default_url = "https://business-api.tiktok.com"
    default_rate = 100.0
    click_params = ("ttclid",)
    pixel_call = 'ttq.track("Purchase", {…}, {event_id: "evt-8f14e45f"})'
    utm_sources = ("tiktok",)
    # ads.tiktok.com/help/article/track-offsite-web-events-with-utm-parameters
    link_parameters = {
        "utm_campaign": "__CAMPAIGN_NAME__",
        "campaign_id": "__CAMPAIGN_ID__",
        "adgroup_name": "__AID_NAME__",
        "ad_name": "__CID_NAME__",
        "ttclid": "__CLICKID__",
    }
    cookies = ("_ttp",)
    document = "tiktok"
    value_events = ()
    field_notes = payload_fields.NOTES
    match_keys = payload_fields.MATCH_KEYS
    secret_note = payload_fields.SECRET
    # TikTok publishes no age limit that we know of; 28 days is the longest attribution window.
    max_age = timedelta(days=28)

    def build(self, target: Target, facts: Facts) -> Request:
        return self._request(target, payload.event_name(facts), facts)

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        # No campaign optimizes on Pageview; with a test code the event reaches Test Events only.
        name = payload.EVENTS[trigger] if target.test_code else "Pageview"
        facts = Facts(
            trigger=trigger,
            event_id=event_id,
            event_at=now,
            external_id="afterclick-check",
            user_agent=USER_AGENT,
        )
        return self._request(target, name, facts)

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response)

    def has_match_key(self, facts: Facts) -> bool:
        user = payload.user(facts)
        return any(key in user for key in ("ttclid", "email", "phone"))

    def _request(self, target: Target, event: str, facts: Facts) -> Request:
        return Request(
            method="POST",
            url=f"{target.base_url.rstrip('/')}/open_api/v1.3/event/track/",  # the trailing slash matters
            headers={
                "Access-Token": target.credential["token"],
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": USER_AGENT,
            },
            body=json_body(payload.body(target, event, facts)),
            secrets=target.secrets,
        )
