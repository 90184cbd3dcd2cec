"""The Network class: it turns the facts of one conversion into an HTTP request, and reads the network's answer.

Plain data and pure functions: a network opens no socket (postbacks/http does) and reads no setting and no row.
"""

import inspect
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from postbacks.networks.interface.call import AccessToken, Outcome, Request, Response, Target
from postbacks.networks.interface.checks import Checks
from postbacks.networks.interface.credentials import CredentialField, json_object
from postbacks.networks.interface.entered_requests import EnteredRequests
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.later_results import LaterResults
from postbacks.networks.interface.matching import MatchKey
from postbacks.networks.interface.payload_fields import DescribedField, described

VERSION = "0.2.0"  # as in pyproject.toml, which a test checks
# Reddit answers 429 to the agent names of HTTP libraries (its documentation), hence this name.
USER_AGENT = f"Afterclick/{VERSION} (+conversion postbacks)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectId:
    """The network's object that a goal reports to: X's event, Google's conversion action.

    Events of a goal without one are not sent (`not_mapped`). `required`: such a goal cannot be saved.
    """

    label: str
    pattern: str
    help: str
    required: bool = True


class Network(Checks, EnteredRequests, LaterResults):
    """One ad network: texts for the pages, and pure functions for the delivery worker."""

    kind: str
    label: str
    summary: str  # for the list of networks: where its ads are shown, and how conversions reach it
    events: Mapping[str, str]  # trigger -> the network's event name, as the pages show it
    # Standard event names (name in the request -> label), and the custom names that the network accepts.
    standard_events: Mapping[str, str]
    custom_events: bool
    custom_event_pattern: str
    custom_event_help: str
    # Key of READY_GOALS -> standard event, OWN_NAME for the event's own name, None if the network has no such event.
    ready_goals: Mapping[str, str | None]
    pixel_label: str
    pixel_pattern: str
    pixel_help: str
    credential_fields: Sequence[CredentialField]  # the label of the first is the credential's on the pages
    # Where to find credential and pixel: one sentence per step, with the terms of the network's pages.
    credential_steps: Sequence[str]
    pixel_steps: Sequence[str]
    object_id: ObjectId | None = None
    default_url: str = ""  # the real API's base address; the variable <KIND>_API_URL overrides it
    # The real address that issues access tokens; the variable <KIND>_TOKEN_URL overrides it; '' without such tokens.
    default_token_url: str = ""
    token_path: str = ""  # of that endpoint at the imitation
    default_rate: float = 0.0  # requests a second to one pixel at most; the variable <KIND>_RATE overrides it
    click_params: tuple[str, ...] = ()  # query parameters of a click id; the first one is shown on the pages
    utm_sources: tuple[str, ...] = ()  # values of utm_source, lower case, that mean this network
    # Query parameter of an ad's URL -> the network's macro, for the addresses of tracking links. Without the click id
    # where the network adds it itself.
    link_parameters: Mapping[str, str] = {}
    # A call of its browser pixel with the event id evt-8f14e45f, which the pages show; '' without such a pixel.
    pixel_call: str = ""
    cookies: tuple[str, ...] = ()  # the network's cookies that identify a browser
    document: str = ""  # the name of its page in docs/networks, without .md; '' without one
    sample_cookies: Mapping[str, str] = {}  # a value in the network's form for those of which it takes no other
    field_notes: Mapping[str, str]  # field of a sent body -> its description
    secret_note: tuple[str, str]  # (header that carries the credential, its description)
    match_keys: Sequence[MatchKey]  # the keys by which it matches events, with Afterclick's weights
    match_key_help: str = ""  # what an event needs at least, if that is more than its click id or an email; a sentence
    value_events: tuple[str, ...] = ()  # its event names that it refuses without a value
    currencies: frozenset[str] = frozenset()  # the ISO 4217 codes that it accepts; empty: all of them
    # Whether it counts a value of its own for an event without one, so that an unreadable value may not be left out.
    has_default_values: bool = False
    max_age: timedelta  # an event older than this is refused by the network
    limits_data_use: bool = True  # whether a body can limit the use of its data; else such events are not sent

    @property
    def folder(self) -> Path:
        return Path(inspect.getfile(type(self))).parent

    @property
    def logo(self) -> str:
        """The path for {% static %} of `static/logo.svg` in the network's folder."""
        return f"networks/{self.kind}/logo.svg"

    @property
    def click_param(self) -> str:
        """The click parameter that the pages show; '' for a network without one."""
        return self.click_params[0] if self.click_params else ""

    @property
    def url_variable(self) -> str:
        return f"{self.kind.upper()}_API_URL"

    @property
    def token_url_variable(self) -> str:
        return f"{self.kind.upper()}_TOKEN_URL"

    @property
    def rate_variable(self) -> str:
        return f"{self.kind.upper()}_RATE"

    @abstractmethod
    def build(self, target: Target, facts: Facts) -> Request:
        """The request for one conversion. ValueError for an unknown event name, or an `event_at` without UTC offset."""

    @abstractmethod
    def has_match_key(self, facts: Facts) -> bool:
        """Whether the network could match the event to a user; an event without a key is not sent (`no_match_key`)."""

    def token_request(self, target: Target, *, now: datetime) -> Request | None:
        """The request that exchanges the credential for an access token; None for a network without one.

        ValueError for an unusable credential.
        """
        return None

    def token_from(self, response: Response) -> AccessToken | Outcome:
        """The access token in the answer, or an Outcome: CREDENTIAL or TRANSIENT."""
        raise NotImplementedError

    def read_pixel(self, entered: str) -> str:
        """The pixel id in the form that is stored."""
        return entered

    @property
    def uses_access_token(self) -> bool:
        return type(self).token_request is not Network.token_request

    def repeats_unanswered(self, credential: Mapping[str, str]) -> bool:
        """Whether an event is sent again after a call without an answer, although it may have arrived."""
        return True

    @property
    def credential_label(self) -> str:
        return self.credential_fields[0].label

    def secrets(self, credential: Mapping[str, str]) -> tuple[str, ...]:
        """The parts of a credential that no log, stored answer or page may show."""
        values: list[Any] = []
        for part in self.credential_fields:
            value = credential.get(part.name, "")
            values += [value] if part.kind != "plain" else []
            values += [json_object(value).get(member) for member in part.members]
        return tuple(text for text in values if isinstance(text, str) and text)

    def has_credential(self, credential: Mapping[str, str]) -> bool:
        """Whether all required parts are present."""
        return all(credential.get(part.name) for part in self.credential_fields if part.required)

    def target(
        self,
        *,
        pixel_id: str,
        credential: Mapping[str, str],
        base_url: str,
        token_url: str = "",
        test_code: str | None = None,
        is_test: bool = False,
        object_ids: Sequence[str] = (),
    ) -> Target:
        return Target(
            pixel_id=pixel_id,
            credential=credential,
            base_url=base_url,
            token_url=token_url,
            test_code=test_code,
            is_test=is_test or bool(test_code),
            object_ids=tuple(object_ids),
            secrets=(*self.secrets(credential), *filter(None, [test_code])),
        )

    def accepts_value(self, value: Decimal | None, currency: str) -> bool:
        """Whether the value of an event can be sent."""
        return value is not None and (not self.currencies or currency in self.currencies)

    def object_id_problem(self, object_id: str, *, pixel_id: str) -> str:
        """Why an object id of the right form cannot be one of this pixel, as a sentence; '' if it can."""
        return ""

    def accepts_event(self, name: str) -> bool:
        """Whether an event may be sent as `name`: exactly a standard name, or a valid custom one."""
        custom = self.custom_events and re.fullmatch(self.custom_event_pattern, name)
        return name in self.standard_events or bool(custom)

    def describe(self, payload: Mapping[str, Any]) -> list[DescribedField]:
        """The fields of a sent body: [(path, value, note), ...]."""
        return described(payload, notes=self.field_notes, secret=self.secret_note)
