"""Custom URL: the texts for its pages, and the functions of the interface."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from postbacks.networks.custom import answers, parts, refusals, requests
from postbacks.networks.custom.macros import MACROS, values_of
from postbacks.networks.custom.presets import PRESETS
from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.entered_requests import Layout
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.ready_goals import OWN_NAME, READY_GOALS

CHECK = "afterclick-check"


class Custom(Network):
    kind = "custom"
    label = "Custom URL"
    summary = (
        "Affiliate networks, smaller ad networks and BI tools. You write the request, or start with a ready-made one."
    )
    document = "custom"
    events = {"game_launch": "game_launch", "purchase": "purchase"}
    standard_events = {}
    ready_goals = dict.fromkeys(READY_GOALS, OWN_NAME)
    custom_events = True
    custom_event_pattern = r"[ -~]{1,64}"
    custom_event_help = "A custom name replaces {event}: at most 64 letters (no accents), digits and signs."
    pixel_label = "Name"
    pixel_pattern = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"
    pixel_help = "Your name for this postback, such as impact: letters, digits, spaces, dots and hyphens."
    credential_fields = parts.FIELDS
    credential_steps = (
        "Ask the partner for its “server-to-server postback URL”, or search for that term in its documentation.",
        "Replace its example values with macros such as {click_id}. Write a token as {secret}, and enter it below.",
        "Find out which query parameter of your ad links carries the click ID, and enter its name.",
    )
    pixel_steps = ("Choose a unique name for this postback. The partner sees the name only as {postback}.",)
    test_code_label = "Click ID of a test click"
    test_code_help = (
        "The click ID of a click on one of your own ad links. It is sent with the test event, which the partner may "
        "count. Without it, the event is named afterclick-check and has a made-up click ID. The click ID is not stored."
    )
    check_note = (
        "One test event is sent to the server before anything is saved. Without a click ID of a test click, the "
        "event is named afterclick-check and has a made-up click ID. With a click ID, the event is a game launch, "
        "which the server may count."
    )
    test_note = (
        "One test event is sent to the server, with the click ID that you enter. The server may count it, unless it "
        "uses "
        "the macro {test}. It is not counted here."
    )
    default_url = requests.OWN_HOST
    default_rate = 10.0
    click_params = ()
    utm_sources = ()
    cookies = ()
    value_events = ()
    field_notes = {"method": "HTTP method", "url": "URL, without the query"}
    match_keys = ()
    secret_note = ("Headers and {secret}", "Never shown")
    max_age = timedelta(days=28)  # as long as the attribution window; partners publish no common limit
    has_templates = True
    presets = PRESETS
    macros = MACROS
    pixel_is_name = True
    daily_check = False  # there is no event that every partner ignores

    @property
    def credential_label(self) -> str:
        return "Secret"

    def build(self, target: Target, facts: Facts) -> Request:
        name = facts.sent_as or self.events.get(facts.trigger, facts.trigger)
        if not self.accepts_event(name):
            raise ValueError(f"no event name for a custom URL: {name!r}")
        return requests.request_of(target, values_of(target, name, facts))

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        name = self.events[trigger] if target.test_code else CHECK
        facts = Facts(
            trigger=name,
            event_id=event_id,
            event_at=now,
            clicked_at=now,
            click_id=target.test_code or CHECK,
            external_id=CHECK,
            order_id=CHECK,
            value=Decimal(0),
            currency="USD",
        )
        return requests.request_of(target, values_of(target, name, facts))

    def classify(self, response: Response) -> Outcome:
        return answers.classify(response, answers.Rules.of({}))

    def classify_answer(self, response: Response, target: Target) -> Outcome:
        return answers.classify(response, answers.Rules.of(target.credential))

    def has_match_key(self, facts: Facts) -> bool:
        return True  # the click has been found by its parameter, or every click counts

    def refusals(self, credential: Mapping[str, str]) -> Mapping[str, str]:
        return refusals.refusals(credential)

    def entered_url(self, credential: Mapping[str, str]) -> str:
        return credential.get("url", "")

    def click_parameters_of(self, credential: Mapping[str, str]) -> Sequence[str]:
        return parts.click_parameters(credential.get("click_parameters", ""))

    def layout(self, credential: Mapping[str, str]) -> Layout:
        return tuple((name, credential.get(name, "")) for name in parts.LAYOUT)

    def without_secrets(self, credential: Mapping[str, str]) -> Mapping[str, str]:
        return requests.without_secrets(credential)

    def secrets_of_another_host(self, stored: Mapping[str, str], entered: Mapping[str, str]) -> Mapping[str, str]:
        return refusals.secrets_of_another_host(stored, entered)

    def secrets(self, credential: Mapping[str, str]) -> tuple[str, ...]:
        return requests.secrets_of(credential)

    def explain(self, outcome: Outcome, target_pixel: str, *, undecided: str) -> str:
        reason = outcome.message.rstrip(" .")
        if self.passed(outcome):
            return f"The server accepted the test event of {target_pixel}."
        if outcome.message == answers.PRIVATE:
            return answers.PRIVATE
        if outcome.access:
            return f"The server denied access (“{reason}”). Check the secret and the headers."
        if outcome.verdict is Verdict.PAYLOAD:
            return (
                f"The server refused the test event (“{reason}”). Check the URL, the body and the rules of success. If "
                "the server refuses only the made-up click ID, enter the click ID of a test click."
            )
        return f"The server could not verify the request now (“{reason}”): {undecided}"
