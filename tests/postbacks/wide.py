"""A network that uses every part of the interface, and its server."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from postbacks.networks.interface.answers import decode_json, plain_message, unanswered_outcome
from postbacks.networks.interface.call import AccessToken, Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.checks import CheckBuilder
from postbacks.networks.interface.credentials import CredentialField, json_object
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.network import Network, ObjectId
from postbacks.networks.interface.ready_goals import READY_GOALS
from postbacks.networks.interface.values import json_body, text, without_blanks

PRIVATE_KEY = "canary-private-key"
URL_TOKEN = "canary-url-token"
ACCESS_TOKEN = "canary-access-token"
CANARIES = (PRIVATE_KEY, URL_TOKEN, ACCESS_TOKEN)
JSON_KEY = json.dumps({"client_email": "ads@studio.example", "private_key": PRIVATE_KEY})
ACCOUNT = "1234567890"
CREDENTIAL = {"key": JSON_KEY, "url_token": URL_TOKEN, "account": ACCOUNT}
PIXEL = "w-1"
ACTION = "987654321"
CLICK_AGE = timedelta(hours=6)


class Wide(Network):
    kind = "wide"
    label = "Wide Ads"
    events = {"game_launch": "launch", "purchase": "buy"}
    standard_events = {"launch": "Launch", "buy": "Buy"}
    custom_events = False
    custom_event_pattern = ""
    custom_event_help = "Select one of the list."
    ready_goals = {**dict.fromkeys(READY_GOALS), "sign_up": "launch"}
    pixel_label = "Tag ID"
    pixel_pattern = r"w-\d+"
    pixel_help = "It looks like w-1."
    credential_fields = (
        CredentialField(name="key", label="Service account key", kind="json", members=("private_key",)),
        CredentialField(name="url_token", label="Address token", required=False),
        CredentialField(name="account", label="Customer ID", kind="plain", pattern=r"\d{10}", help="Ten digits."),
        CredentialField(name="manager", label="Manager ID", kind="plain", pattern=r"\d{10}", required=False),
        CredentialField(
            name="unanswered",
            label="After a call without an answer",
            kind="plain",
            required=False,
            choices={"": "Send again", "once": "Do not send again"},
        ),
    )
    credential_steps = ("Open Wide Ads.",)
    pixel_steps = ("Open Wide Ads.",)
    object_id = ObjectId(label="Conversion action ID", pattern=r"\d{3,12}", help="The digits after ctId=.")
    test_code_label = "Test code"
    test_code_help = ""
    default_url = "https://wide.example"
    default_rate = 1000.0
    click_params = ("wclid",)
    utm_sources = ()
    cookies = ("_wide", "_wide2")
    value_events = ("buy",)
    field_notes = {}
    secret_note = ("Authorization", "The access token")
    match_keys = ()
    sample_cookies = {"_wide": "w.1"}
    max_age = timedelta(days=28)

    def token_request(self, target: Target, *, now: datetime) -> Request:
        assertion = json_object(target.credential["key"])["private_key"]
        return Request("POST", f"{target.base_url}/token", {}, json_body({"assertion": assertion}))

    def token_from(self, response: Response) -> AccessToken | Outcome:
        body = decode_json(response) or {}
        if response.status == 200:
            return AccessToken(body["access_token"], body["expires_in"])
        return self.classify(response)

    def not_before(self, facts: Facts) -> datetime | None:
        return facts.clicked_at + CLICK_AGE if facts.clicked_at else None

    def build(self, target: Target, facts: Facts) -> Request:
        event = {
            "account": target.credential["account"],
            "action": facts.object_id,
            "id": facts.event_id,
            "click": text(facts.click_id),
            "cookies": dict(facts.cookies),
            "tcf": facts.consent.tcf if facts.consent else None,
            "setting": target.credential.get("unanswered"),
        }
        return self._request(target, "POST", "events", json_body(without_blanks(event)))

    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        check = {"id": event_id, "test": target.is_test, "actions": list(target.object_ids)}
        return self._request(target, "POST", "validate", json_body(without_blanks(check)))

    def second_check(self, outcome: Outcome) -> CheckBuilder | None:
        return self._validate_again if outcome.code == "409" else None

    def _validate_again(self, target: Target, *, event_id: str, now: datetime) -> Request:
        return self._request(target, "POST", "validate-again", json_body({"id": event_id}))

    def classify_check(self, response: Response, target: Target) -> Outcome:
        if response.status == 202:
            return Outcome(Verdict.SUCCESS, "202", "There is nothing wrong.")
        return self.classify(response)

    def repeats_unanswered(self, credential: Mapping[str, str]) -> bool:
        return credential.get("unanswered") != "once"

    def _request(self, target: Target, method: str, path: str, body: bytes) -> Request:
        url = f"{target.base_url}/{path}?token={target.credential.get('url_token', '')}"
        return Request(method, url, {"Authorization": f"Bearer {target.access_token}"}, body)

    def classify(self, response: Response) -> Outcome:
        body = decode_json(response) or {}
        message = body.get("message") or plain_message(response)
        if response.status is None:
            return unanswered_outcome(response)
        if response.status == 200:
            after = timedelta(minutes=30) if "receipt" in body else None
            return Outcome(Verdict.SUCCESS, "0", message, request_id=body.get("receipt"), confirm_after=after)
        if response.status == 401:
            return Outcome(Verdict.CREDENTIAL, "401", message, access="token")
        verdict = Verdict.PAYLOAD if response.status == 400 else Verdict.TRANSIENT
        return Outcome(verdict, str(response.status), message)

    def has_match_key(self, facts: Facts) -> bool:
        return bool(facts.click_id)

    def confirm_request(self, target: Target, request_id: str) -> Request:
        return self._request(target, "GET", f"status/{request_id}", b"")

    def classify_confirmation(self, response: Response, *, repeated: bool = False) -> Outcome:
        body = decode_json(response) or {}
        state = body.get("state")
        if state == "refused":
            return Outcome(Verdict.PAYLOAD, "TOO_RECENT_CLICK", body["message"])
        if state == "again":
            return Outcome(Verdict.PAYLOAD, "BUSY", "Later.", resend_after=CLICK_AGE)
        if state == "unmatched":
            return Outcome(Verdict.PAYLOAD, "UNKNOWN_CLICK", "No such click.", unmatched=True)
        if state == "duplicate":
            return Outcome(Verdict.SUCCESS if repeated else Verdict.PAYLOAD, "DUPLICATE", "Duplicate.")
        return Outcome(Verdict.SUCCESS if state == "confirmed" else Verdict.TRANSIENT, None, plain_message(response))


class Server:
    """`answers` by path are sent in order, the last one repeatedly. `calls` has the received requests by path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, list[tuple[int, Any]]] = {
            "token": [(200, {"access_token": ACCESS_TOKEN, "expires_in": 3600})],
            "validate": [(200, {"message": "ok"})],
            "events": [(200, {"message": "ok", "receipt": "r-1"})],
            "status/r-1": [(200, {"state": "confirmed"})],
        }
        self.calls: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        parts = urlsplit(path)
        name = parts.path.strip("/")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        call = {"method": method, "query": query, "auth": headers.get("Authorization", "")}
        self.calls[name].append({**call, "body": json.loads(body) if body else None})
        answers = self.answers[name]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def serving() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = served.answer(self.command, self.path, dict(self.headers), body)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = handle_any

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served = Server(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()
