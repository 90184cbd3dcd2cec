"""Meta Ads: the texts for its pages, and the functions of the interface."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.checks import CheckBuilder
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import USER_AGENT, Network
from postbacks.networks.interface.ready_goals import OWN_NAME
from postbacks.networks.interface.values import json_body
from postbacks.networks.meta import answers, payload, payload_fields

# Of 18 February 2026. The Conversions API follows the Graph API's schedule: until 29 July 2028.
VERSION = "v25.0"
# Meta refuses events older than seven days (physical_store: 62), and records nothing of them.
OLD = timedelta(days=63)
ONCE = "once"


class Meta(Network):
    kind = "meta"
    label = "Meta Ads"
    summary = "Ads on Facebook and Instagram. Conversions are sent to the Conversions API of your dataset (pixel)."
    events = payload.EVENTS
    standard_events = payload.STANDARD_EVENTS
    # Meta's names for levels and achievements are of app events.
    ready_goals = {
        "sign_up": "CompleteRegistration",
        "wishlist_add": "AddToWishlist",
        "email_acquired": "Lead",
        "tutorial": OWN_NAME,
        "level": OWN_NAME,
        "achievement": OWN_NAME,
        "subscription": "Subscribe",
    }
    custom_events = True
    custom_event_pattern = payload.CUSTOM_NAME
    custom_event_help = (
        "A custom name has at most 50 letters, digits, spaces, dots, colons, hyphens and underscores. Campaigns can "
        "use it through a custom conversion; select a standard event where you can."
    )
    pixel_label = "Dataset ID"
    pixel_pattern = r"^\d{8,20}$"
    pixel_help = "About 15 digits, shown in Events Manager next to your dataset (the pixel ID is the same number)."
    credential_fields = (
        CredentialField(
            name="token",
            label="Access token",
            help="In Events Manager: your dataset, Settings, Conversions API, Generate access token.",
        ),
        CredentialField(
            name="action_source",
            label="Action source",
            help="The action source that is sent to Meta. Only with Website, Meta counts browser and server "
            "events as one and attributes them to website ads.",
            kind="plain",
            required=False,
            choices={"": "Website", **payload.OTHER_SOURCES},
        ),
        CredentialField(
            name="unanswered",
            label="After a call without an answer",
            help="Meta may have recorded the event. Meta does not document that it counts a repeated server event "
            "once: sending it again may count it twice, and not sending it again may lose it.",
            kind="plain",
            required=False,
            choices={"": "Send again (Meta's advice)", ONCE: "Do not send again"},
        ),
        CredentialField(
            name="external_id",
            label="User ID",
            help="The form must be the one that your website's pixel sends.",
            kind="plain",
            required=False,
            choices={"": "Hashed", "raw": "As it is"},
        ),
    )
    credential_steps = (
        "Open Meta Events Manager with an account that has developer rights on the business; without them the link of "
        "the next step is not shown.",
        "Open your dataset (pixel), then Settings, then Conversions API, then Generate access token.",
        "Copy the complete token immediately: Meta shows it only once. It needs no app review, and is valid until "
        "someone revokes it.",
    )
    pixel_steps = (
        "Open Meta Events Manager, then Data sources, and select your dataset (pixel).",
        "Copy the ID below its name: digits only.",
    )
    test_code_label = "Test event code"
    test_code_help = (
        "From Events Manager, Test Events (like TEST12345). Leave this empty to send no event. Never stored."
    )
    check_note = (
        "The dataset is requested from Meta Ads before anything is saved, and no event is sent. If the token may not "
        "read the dataset, a page view that is too old is sent, which Meta Ads refuses and does not record. With a "
        "test event code, a page view is sent instead, which Meta Ads counts like any other."
    )
    test_note = (
        "One page view is sent to Test Events of Meta Ads, whatever event you select, because Meta counts test events "
        "like others. It has no player, so Test Events may not list it. It is not counted here."
    )
    default_url = "https://graph.facebook.com"
    # Meta documents no limit of the Conversions API.
    default_rate = 100.0
    click_params = ("fbclid",)
    pixel_call = 'fbq("track", "Purchase", {…}, {eventID: "evt-8f14e45f"})'
    utm_sources = ("facebook", "fb", "meta", "instagram", "ig")
    # facebook.com/business/help/2360940870872492
    link_parameters = {
        "utm_campaign": "{{campaign.name}}",
        "campaign_id": "{{campaign.id}}",
        "adset_name": "{{adset.name}}",
        "ad_name": "{{ad.name}}",
    }
    cookies = ("_fbc", "_fbp")
    document = "meta"
    sample_cookies = {"_fbc": "fb.1.1735888000000.IwAR-sample-1", "_fbp": "fb.1.1735888000000.1098115391"}
    value_events = ("Purchase",)
    field_notes = payload_fields.NOTES
    match_keys = payload_fields.MATCH_KEYS
    secret_note = payload_fields.SECRET
    max_age = timedelta(days=7)

    def build(self, target: Target, facts: Facts) -> Request:
        return self._event(target, payload.event_name(facts), facts)

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        """A read of the dataset, of which nothing is recorded; with a test code a page view."""
        if target.test_code:
            return self._page_view(target, event_id, now)
        return self._request(target, "GET", "?fields=id,name", b"")

    def second_check(self, outcome: Outcome) -> CheckBuilder | None:
        """An event that is too old, if the token may not read the dataset: it may still send events to it."""
        return self._old_event if outcome.access == "pixel" else None

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response)

    def classify_check(self, response: Response, target: Target) -> Outcome:
        return answers.classify_check(response)

    def passed(self, outcome: Outcome) -> bool:
        return outcome.verdict is Verdict.SUCCESS or outcome.code == answers.TOO_OLD

    def explain(self, outcome: Outcome, target_pixel: str, *, undecided: str) -> str:
        if outcome.message == answers.READABLE:
            return f"Meta Ads accepted the access token for dataset ID {target_pixel}. No event was sent."
        if outcome.code == answers.TOO_OLD:
            return (
                f"Meta Ads accepted the access token, which may not read dataset ID {target_pixel}, and refused a "
                "deliberately old event only for its age, so nothing was recorded. Whether Meta Ads accepts new events "
                "is known after the first one."
            )
        return super().explain(outcome, target_pixel, undecided=undecided)

    def has_match_key(self, facts: Facts) -> bool:
        return payload.is_sufficient(payload.user_data(facts))

    def repeats_unanswered(self, credential: Mapping[str, str]) -> bool:
        return credential.get("unanswered") != ONCE

    def _page_view(self, target: Target, event_id: str, at: datetime) -> Request:
        facts = Facts(
            trigger="page", event_id=event_id, event_at=at, external_id="afterclick-check", user_agent=USER_AGENT
        )
        return self._event(target, "PageView", facts)

    def _old_event(self, target: Target, *, event_id: str, now: datetime) -> Request:
        return self._page_view(target, event_id, now - OLD)

    def _event(self, target: Target, name: str, facts: Facts) -> Request:
        return self._request(target, "POST", "/events", json_body(payload.body(target, name, facts)))

    def _request(self, target: Target, method: str, path: str, body: bytes) -> Request:
        """A request about the dataset. The token is in a header, so that no URL has it."""
        return Request(
            method=method,
            url=f"{target.base_url.rstrip('/')}/{VERSION}/{quote(target.pixel_id, safe='')}{path}",
            headers={
                "Authorization": f"Bearer {target.credential['token']}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": USER_AGENT,
            },
            body=body,
            secrets=target.secrets,
        )
