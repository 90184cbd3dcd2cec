"""Reddit Ads: the texts for its pages, and the functions of the interface."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Outcome, Request, Response, Target
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import USER_AGENT, Network
from postbacks.networks.interface.ready_goals import OWN_NAME
from postbacks.networks.interface.values import json_body
from postbacks.networks.reddit import answers, payload, payload_fields


class Reddit(Network):
    kind = "reddit"
    label = "Reddit Ads"
    summary = "Ads on Reddit. Conversions are sent to the Conversions API with a pixel ID and an access token."
    events = {"game_launch": "game_launch (custom event)", "purchase": "Purchase"}
    standard_events = payload.STANDARD_EVENTS
    ready_goals = {
        "sign_up": "SIGN_UP",
        "wishlist_add": "ADD_TO_WISHLIST",
        "email_acquired": "LEAD",
        "tutorial": OWN_NAME,
        "level": OWN_NAME,
        "achievement": OWN_NAME,
        "subscription": OWN_NAME,
    }
    custom_events = True
    custom_event_pattern = payload.CUSTOM_NAME
    custom_event_help = "A custom name has at most 64 letters, digits, spaces, dots, colons, hyphens and underscores."
    pixel_label = "Pixel ID"
    pixel_pattern = r"^(a2|t2)_[A-Za-z0-9]+$"  # t2_ on older pixels
    pixel_help = "It looks like a2_xxxxxxxx and is shown in Ads Manager, Events Manager, next to your pixel."
    credential_fields = (
        CredentialField(
            name="token",
            label="Conversion access token",
            help="In Events Manager: your pixel, Conversions API, Generate Conversion Access Token. "
            "The token has 700 or more characters. Copy the complete token.",
        ),
    )
    credential_steps = (
        "Open Reddit Ads Manager as an administrator of the ad account, then Events Manager.",
        "Open your pixel, then Conversions API, then Generate Conversion Access Token.",
        "Copy the complete token. It does not expire. When you generate a new one, rotate it here as well.",
    )
    pixel_steps = (
        "Open Reddit Ads Manager, then Events Manager.",
        "Copy the ID next to your pixel, without spaces. It looks like a2_xxxxxxxx.",
    )
    test_code_label = "Test ID"
    test_code_help = "From Events Manager, Event Testing. Used for this check only and never stored."
    default_url = "https://ads-api.reddit.com"
    default_rate = 10.0
    click_params = ("rdt_cid",)
    pixel_call = 'rdt("track", "Purchase", {conversionId: "evt-8f14e45f"})'
    utm_sources = ("reddit",)
    link_parameters = {
        "utm_campaign": "{{CAMPAIGN_NAME}}",
        "campaign_id": "{{CAMPAIGN_ID}}",
        "adgroup_id": "{{ADGROUP_ID}}",
        "ad_id": "{{AD_ID}}",
    }
    cookies = ("_rdt_uuid",)
    document = "reddit"
    value_events = ()
    field_notes = payload_fields.NOTES
    match_keys = payload_fields.MATCH_KEYS
    secret_note = payload_fields.SECRET
    max_age = timedelta(hours=168)  # "event_at timestamp must be less than 168h0m0s old"

    def build(self, target: Target, facts: Facts) -> Request:
        return self._request(target, payload.event_type(facts), facts)

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        # No campaign optimizes on PAGE_VISIT; with a test id the event reaches Event Testing only.
        kind = payload.TYPES[trigger] if target.test_code else {"tracking_type": "PAGE_VISIT"}
        facts = Facts(
            trigger=trigger,
            event_id=event_id,
            event_at=now,
            external_id="afterclick-check",
            user_agent=USER_AGENT,
        )
        return self._request(target, kind, facts)

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response)

    def has_match_key(self, facts: Facts) -> bool:
        return bool(values.text(facts.click_id) or facts.hashes.canonical_email or payload.email(facts.email))

    def _request(self, target: Target, kind: dict[str, str], facts: Facts) -> Request:
        body: dict[str, Any] = payload.body(target, kind, facts)
        pixel = quote(target.pixel_id, safe="")
        return Request(
            method="POST",
            url=f"{target.base_url.rstrip('/')}/api/v3/pixels/{pixel}/conversion_events",
            headers={
                "Authorization": f"Bearer {target.credential['token']}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": USER_AGENT,
            },
            body=json_body(body),
            secrets=target.secrets,
        )
