"""Snapchat Ads: the texts for its pages, and the functions of the interface."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

from postbacks.networks.interface.call import Outcome, Request, Response, Target
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import USER_AGENT, Network
from postbacks.networks.interface.values import json_body
from postbacks.networks.snapchat import answers, payload, payload_fields


class Snapchat(Network):
    kind = "snapchat"
    label = "Snapchat Ads"
    summary = "Ads on Snapchat. Conversions are sent to the Conversions API with a pixel ID and an access token."
    events = payload.EVENTS
    standard_events = payload.STANDARD_EVENTS
    # Nothing in Snap's list is a lead: Custom event 1 to 5 are free for it.
    ready_goals = {
        "sign_up": "SIGN_UP",
        "wishlist_add": "ADD_TO_WISHLIST",
        "email_acquired": None,
        "tutorial": "COMPLETE_TUTORIAL",
        "level": "LEVEL_COMPLETE",
        "achievement": "ACHIEVEMENT_UNLOCKED",
        "subscription": "SUBSCRIBE",
    }
    custom_events = False
    custom_event_pattern = ""
    custom_event_help = "Select a name from Snapchat's list. For your own events, use Custom event 1 to 5."
    pixel_label = "Pixel ID"
    pixel_pattern = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    pixel_help = "It looks like 0a1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d, in lowercase: see Ads Manager, Events Manager."
    credential_fields = (
        CredentialField(
            name="token",
            label="Access token",
            help="In Ads Manager: Business details, Conversions API tokens, Generate. It does not expire.",
        ),
    )
    credential_steps = (
        "Open Snapchat Ads Manager as an admin of the organization that owns the pixel.",
        "Open the menu, then Business details, and find Conversions API tokens.",
        "Generate a token and copy the complete token. Snapchat may refuse a new token for up to an hour. If it "
        "does, try again later.",
    )
    pixel_steps = (
        "Open Snapchat Ads Manager, then Events Manager.",
        "Select your pixel and copy the pixel ID that is shown next to its name.",
    )
    # Test events go to an endpoint of their own.
    test_code_label = ""
    test_code_help = ""
    has_test_endpoint = True
    default_url = "https://tr.snapchat.com"
    default_rate = 10.0  # to one token; Snap names up to 1,000 for tokens that do not expire
    click_params = ("ScCid",)
    pixel_call = 'snaptr("track", "PURCHASE", {client_dedup_id: "evt-8f14e45f"})'
    utm_sources = ("snapchat",)
    # businesshelp.snapchat.com/s/article/url-macros
    link_parameters = {
        "utm_campaign": "{{campaign.name}}",
        "campaign_id": "{{campaign.id}}",
        "adset_name": "{{adSet.name}}",
        "ad_name": "{{ad.name}}",
    }
    cookies = (payload.BROWSER_COOKIE, payload.CLICK_COOKIE)
    value_events = ("PURCHASE",)
    currencies = payload.CURRENCIES
    document = "snapchat"
    field_notes = payload_fields.NOTES
    match_keys = payload_fields.MATCH_KEYS
    match_key_help = payload_fields.MATCH_KEY_HELP
    secret_note = payload_fields.SECRET
    # Snap's introduction says 37 days; those who post to it stop at 7 (Segment, RudderStack).
    max_age = timedelta(days=7)

    def build(self, target: Target, facts: Facts) -> Request:
        return self._request(target, payload.event_name(facts), facts)

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        # /events/validate records nothing. It needs a page, and something to match by.
        name = payload.EVENTS[trigger] if target.is_test else "PAGE_VIEW"
        facts = Facts(
            trigger=trigger,
            event_id=event_id,
            event_at=now,
            email="afterclick-check@example.com",
            ip="203.0.113.7",
            user_agent=USER_AGENT,
            page_url="https://example.com/afterclick-check",
            value=Decimal(1) if name in self.value_events else None,
            currency="USD",
        )
        return self._request(replace(target, is_test=True), name, facts)

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response)

    def has_match_key(self, facts: Facts) -> bool:
        return payload.is_matchable(payload.user_data(facts))

    def explain(self, outcome: Outcome, target_pixel: str, *, undecided: str) -> str:
        sentence = super().explain(outcome, target_pixel, undecided=undecided)
        if outcome.access != "token":
            return sentence
        return (
            f"{sentence} Snapchat may refuse a new token for up to an hour, and accepts one only for the pixels of the "
            "organization that generated it."
        )

    def _request(self, target: Target, name: str, facts: Facts) -> Request:
        token = quote(target.credential["token"], safe="")
        path = f"v3/{quote(target.pixel_id, safe='')}/events{'/validate' if target.is_test else ''}"
        return Request(
            method="POST",
            # Snap takes the token as a parameter only. The whole URL is a secret: Request neither shows nor logs it.
            url=f"{target.base_url.rstrip('/')}/{path}?access_token={token}",
            headers={"Content-Type": "application/json", "Accept": "application/json", "User-Agent": USER_AGENT},
            body=json_body(payload.body(name, facts)),
            secrets=(*target.secrets, *filter(None, [token])),
        )
