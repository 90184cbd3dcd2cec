"""Google Ads: the texts for its pages, and the functions of the interface."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from postbacks.networks.google import answers, diagnostics, payload, payload_fields, service_account
from postbacks.networks.interface.call import AccessToken, Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.credentials import CredentialField, json_object
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import USER_AGENT, Network, ObjectId
from postbacks.networks.interface.ready_goals import OWN_NAME, READY_GOALS
from postbacks.networks.interface.values import json_body

# Google refuses a click that is younger, hours later and without a trace in the answer; the margin is for its clock.
CLICK_AGE, MARGIN = timedelta(hours=6), timedelta(minutes=5)


class Google(Network):
    kind = "google"
    label = "Google Ads"
    summary = (
        "Ads on Google Search and YouTube. "
        "Conversions are sent to the conversion action of their goal six hours after the click."
    )
    document = "google"
    events = payload.EVENTS
    standard_events: Mapping[str, str] = {}
    ready_goals = dict.fromkeys(READY_GOALS, OWN_NAME)
    custom_events = True
    custom_event_pattern = r"[^\x00-\x1f]{1,64}"
    custom_event_help = "Google Ads has no event names: the conversion action of the goal decides what is counted."
    pixel_label = "Customer ID"
    pixel_pattern = r"^\d{10}$"
    pixel_help = (
        "The ten digits at the top right of Google Ads, such as 123-456-7890. Use the account with the "
        "conversion actions."
    )
    credential_fields = (
        CredentialField(
            name="token",
            label="Service account key",
            kind="json",
            help="The complete JSON file that you downloaded from Google Cloud when you created the key.",
            members=("client_email", "private_key"),
        ),
        CredentialField(
            name="login_account",
            label="Manager customer ID",
            kind="plain",
            required=False,
            pattern=r"\d{10}|\d{3}-\d{3}-\d{4}",
            help="Ten digits, only if the service account was added to a manager account. Otherwise leave it blank.",
        ),
        CredentialField(
            name="contacts",
            label="Send email and phone",
            kind="plain",
            required=False,
            choices={"": "No, the click ID only", "yes": "Yes, hashed"},
            sample="yes",
            help="Select yes only after enhanced conversions for leads are enabled in Google Ads and its customer data "
            "terms are accepted. Otherwise, Google refuses every event.",
        ),
    )
    credential_steps = (
        "In Google Cloud, create a project and enable the Data Manager API in it.",
        "Open IAM, Service accounts, create one, then Keys, Add key, JSON. Where the policy "
        "iam.disableServiceAccountKeyCreation forbids keys, as in many new organizations, an administrator must "
        "exempt the project first.",
        "In Google Ads, open Admin, Access and security, and add the email of the service account with Standard "
        "access. “Email only” is not enough.",
        "Paste the whole JSON file here.",
    )
    pixel_steps = (
        "Open Google Ads in the account that owns the conversion actions. Its customer ID is at the top right.",
        "For each event, open Goals, Summary, Create conversion action, Conversions offline, Track conversions from "
        "clicks. Select different values and count Every.",
        "Open the conversion action and copy the digits after ctId= from the address of its page.",
    )
    object_id = ObjectId(
        label="Conversion action ID",
        pattern=r"\d{1,19}",
        help="The digits after ctId= in the address of the conversion action's page in Google Ads.",
    )
    # A test event is a real one with `validateOnly`.
    test_code_label = ""
    test_code_help = ""
    has_test_endpoint = True
    check_note = (
        "One test event for the conversion actions is sent to Google Ads, which checks it and does not record it."
    )
    test_note = (
        "One test event is sent to Google Ads, which checks it and does not record it. It "
        "is not counted, neither by Google Ads nor here."
    )
    default_url = "https://datamanager.googleapis.com"
    default_token_url = service_account.AUDIENCE
    token_path = "/token"  # noqa: S105  not a secret
    default_rate = 5.0  # 300 a minute for one project
    click_params = payload.CLICK_IDS
    utm_sources = ("google", "youtube")
    # ValueTrack parameters: support.google.com/google-ads/answer/6305348
    link_parameters = {"campaign_id": "{campaignid}", "adgroup_id": "{adgroupid}", "ad_id": "{creative}"}
    cookies = ()
    value_events = ()
    has_default_values = True
    field_notes = payload_fields.NOTES
    match_keys = payload_fields.MATCH_KEYS
    secret_note = payload_fields.SECRET
    max_age = timedelta(days=90)  # of a click ID; the window of a conversion action may be shorter
    freezes_body = True

    def build(self, target: Target, facts: Facts) -> Request:
        return self._post(target, json_body(payload.body(target, facts)))

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        return self._post(target, json_body(payload.check_body(target, event_id=event_id, now=now)))

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response)

    def classify_answer(self, response: Response, target: Target) -> Outcome:
        return answers.classify(response) if target.is_test else answers.classify_event(response)

    def classify_check(self, response: Response, target: Target) -> Outcome:
        return answers.classify(response)

    def has_match_key(self, facts: Facts) -> bool:
        return payload.click_id(facts) is not None

    def not_before(self, facts: Facts) -> datetime | None:
        return facts.clicked_at + CLICK_AGE + MARGIN if facts.clicked_at else None

    def token_request(self, target: Target, *, now: datetime) -> Request:
        form = service_account.token_form(json_object(target.credential["token"]), now=int(now.timestamp()))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": USER_AGENT}
        secrets = (*target.secrets, service_account.assertion_of(form))
        return Request("POST", target.token_url or self.default_token_url, headers, form, secrets=secrets)

    def token_from(self, response: Response) -> AccessToken | Outcome:
        return service_account.read_token(response)

    def confirm_request(self, target: Target, request_id: str) -> Request:
        path = f"v1/requestStatus:retrieve?requestId={quote(request_id, safe='')}"
        return self._request(target, "GET", path, b"", {})

    def classify_confirmation(self, response: Response, *, repeated: bool = False) -> Outcome:
        return diagnostics.classify(response, repeated=repeated)

    def repeated_body(self, first: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> Mapping[str, Any]:
        return payload.repeated(first, rebuilt)

    def read_pixel(self, entered: str) -> str:
        return payload.digits(entered)

    def explain(self, outcome: Outcome, target_pixel: str, *, undecided: str) -> str:
        reason, account = outcome.message.rstrip(" ."), f"customer ID {target_pixel}"
        if self.passed(outcome) and outcome.code:
            return f"Google Ads accepted the test event for {account} with a warning (“{reason}”)."
        if outcome.access == "pixel":
            return (
                f"Google Ads refused the test event for {account} (“{reason}”). Check the customer ID, the conversion "
                "action IDs, and that the email of the service account has Standard access to this account."
            )
        if outcome.verdict is Verdict.PAYLOAD:
            return f"Google Ads refused the test event for {account} (“{reason}”). Check the conversion action IDs."
        return super().explain(outcome, target_pixel, undecided=undecided)

    def _post(self, target: Target, body: bytes) -> Request:
        return self._request(target, "POST", "v1/events:ingest", body, {"Content-Type": "application/json"})

    def _request(self, target: Target, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Request:
        shared = {"Authorization": f"Bearer {target.access_token}", "Accept": "application/json"}
        return Request(
            method=method,
            url=f"{target.base_url.rstrip('/')}/{path}",
            headers={**shared, "User-Agent": USER_AGENT, **headers},
            body=body,
            secrets=target.secrets,
        )
