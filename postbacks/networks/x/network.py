"""X Ads: the texts for its pages, and the functions of the interface."""

from datetime import datetime, timedelta
from urllib.parse import quote

from postbacks.networks.interface.call import Outcome, Request, Response, Target
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import USER_AGENT, Network, ObjectId
from postbacks.networks.interface.ready_goals import OWN_NAME, READY_GOALS
from postbacks.networks.interface.values import json_body
from postbacks.networks.x import answers, payload, payload_fields


class X(Network):
    kind = "x"
    label = "X Ads"
    summary = "Ads on X. Conversions are sent to the Conversion API, each to the event of its goal."
    # X has no event names: the type is a setting of the event in its Events Manager.
    events = {"game_launch": "game_launch", "purchase": "purchase"}
    standard_events = {}
    ready_goals = dict.fromkeys(READY_GOALS, OWN_NAME)
    custom_events = False
    custom_event_pattern = ""
    custom_event_help = ""
    pixel_label = "Pixel ID"
    # X has published no pattern: base 36 in every example, in lowercase.
    pixel_pattern = r"^[a-z0-9]{4,10}$"
    pixel_help = "It looks like o8z6j: the ID of the X Pixel in Events Manager, in lowercase."
    credential_fields = (
        CredentialField(
            name="token",
            label="Pixel access token",
            help="In Events Manager: Install Pixel, Manual, Conversion API, Generate access token.",
        ),
    )
    credential_steps = (
        "Open X Ads Manager (ads.x.com) as an administrator of the ad account, then Tools, Events Manager.",
        "Open your X Pixel, then Install Pixel, Manual, and Conversion API (or Web Pixel and Conversion API).",
        "Select Generate access token and copy the complete token. No developer account is needed.",
    )
    pixel_steps = (
        "Open Events Manager. The ID of the X Pixel is the pixel ID.",
        "For each event that you report: Add events, Install with Conversion API, then copy its Event ID. The event of "
        "an installed pixel also works.",
    )
    object_id = ObjectId(
        label="Event ID",
        pattern=r"(tw-[a-z0-9]+-)?[a-z0-9]{4,10}",
        help="It looks like ol288 or tw-o8z6j-ol288 and is shown in Events Manager next to the event.",
        required=False,
    )
    document = "x"
    test_code_label = ""
    test_code_help = ""
    check_note = (
        "X has no test mode. The check sends one conversion for each Event ID, without a value and with a made-up "
        "email address. It appears once in Events Manager and is not attributed to an ad."
    )
    default_url = "https://ads-api.x.com"
    # X's documents disagree: 60,000 events or requests, or 100,000 requests per account, in 15 minutes.
    default_rate = 50.0
    click_params = ("twclid",)
    pixel_call = 'twq("event", "tw-o8z6j-ol288", {conversion_id: "evt-8f14e45f"})'
    utm_sources = ("x", "twitter")
    cookies = ("_twclid",)
    value_events = ()
    field_notes = payload_fields.NOTES
    match_keys = payload_fields.MATCH_KEYS
    secret_note = payload_fields.SECRET
    # X publishes no age limit; it attributes to a click of 30 days at most.
    max_age = timedelta(days=30)
    # Each check is a conversion in Events Manager.
    daily_check = False
    limits_data_use = False

    def build(self, target: Target, facts: Facts) -> Request:
        return self._request(target, payload.body(target, facts))

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        return self._request(target, payload.check_body(target, event_id=event_id, now=now))

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response)

    def classify_check(self, response: Response, target: Target) -> Outcome:
        return answers.classify(response, sent=len(payload.checked_ids(target)))

    def has_match_key(self, facts: Facts) -> bool:
        return payload.has_strong_identifier(facts)

    def accepts_event(self, name: str) -> bool:
        """Any: the name is not sent, the Event ID says what the event is."""
        return True

    def object_id_problem(self, object_id: str, *, pixel_id: str) -> str:
        if object_id.startswith("tw-") and not object_id.startswith(f"tw-{pixel_id}-"):
            return f"The Event ID {object_id} belongs to another pixel than {pixel_id}."
        return ""

    def explain(self, outcome: Outcome, target_pixel: str, *, undecided: str) -> str:
        sentence = super().explain(outcome, target_pixel, undecided=undecided)
        if self.passed(outcome):
            return (
                f"X Ads accepted a conversion for each Event ID of pixel ID {target_pixel}. They appear once in Events "
                "Manager and are not attributed to an ad."
            )
        if outcome.access == "pixel":
            return (
                f"X Ads does not accept pixel ID {target_pixel} with this token and these Event IDs "
                f"(“{outcome.message.rstrip(' .')}”). Check that the token and each event belong to this pixel."
            )
        return sentence

    def _request(self, target: Target, body: dict[str, object]) -> Request:
        pixel = quote(target.pixel_id, safe="")
        return Request(
            method="POST",
            url=f"{target.base_url.rstrip('/')}/12/measurement/conversions/{pixel}",
            headers={
                **authorization(target),
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": USER_AGENT,
            },
            body=json_body(body),
            secrets=target.secrets,
        )


def authorization(target: Target) -> dict[str, str]:
    """The header of the pixel access token. X's page for own integrations still names OAuth 1.0a (an approved developer
    app, four secrets), which its Tag Manager template does without."""
    return {"X-Pixel-Token": target.credential["token"]}
