"""The parts of a custom URL that users enter."""

import re

from postbacks.networks.custom import answers
from postbacks.networks.interface.credentials import CredentialField

METHODS = {"GET": "GET", "POST": "POST", "PUT": "PUT", "PATCH": "PATCH"}
JSON, FORM, NO_BODY = "json", "form", "none"
FORMATS = {NO_BODY: "No body", JSON: "JSON", FORM: "Form (name=value&name=value)"}
CONTENT_TYPES = {JSON: "application/json", FORM: "application/x-www-form-urlencoded"}
EVERY_CLICK = "*"
ANY_TEXT = r"[^\x00]*"
EXAMPLE = (
    "https://partner.example/postback?click_id={click_id}&event={event}&value={value}&currency={currency}"
    "&event_id={event_id}"
)
FIELDS = (
    CredentialField(
        name="method", label="Method", kind="plain", choices=METHODS, default="GET", pattern="|".join(METHODS)
    ),
    CredentialField(
        name="url",
        label="URL",
        kind="plain",
        lines=3,
        default=EXAMPLE,
        help="An https:// URL with macros such as {click_id} and {event}. Parameters without a value are left out.",
    ),
    CredentialField(
        name="body_format",
        label="Body",
        kind="plain",
        required=False,
        choices=FORMATS,
        default=NO_BODY,
        pattern="|".join(FORMATS),
    ),
    CredentialField(
        name="body",
        label="Body template",
        kind="plain",
        required=False,
        lines=8,
        pattern=ANY_TEXT,
        help='JSON such as {"click": "{click_id}", "value": {value}}: a value without quotation marks is a number.',
    ),
    CredentialField(
        name="headers",
        label="Headers",
        required=False,
        lines=3,
        pattern=ANY_TEXT,
        help="One header per line, such as Authorization: Bearer {secret}. Headers are stored encrypted and are not "
        "shown again.",
    ),
    CredentialField(
        name="token",
        label="Secret",
        required=False,
        help="A token or key that replaces {secret}. It is stored encrypted and is not shown again.",
    ),
    CredentialField(
        name="click_parameters",
        label="Click parameters",
        kind="plain",
        pattern=ANY_TEXT,
        help="The query parameters of your ad links with the click ID, such as irclickid, msclkid, li_fat_id, epik or "
        "your own parameter. Separate several with commas. * sends the conversions of every ad click, for a BI tool.",
    ),
    CredentialField(
        name="success_statuses",
        label="Statuses of success",
        kind="plain",
        required=False,
        default=answers.SUCCESS,
        pattern=ANY_TEXT,
        help="Such as 200, 2xx or 200-204. Separate several with commas. Usually 2xx.",
    ),
    CredentialField(
        name="success_path",
        label="Success in the JSON answer",
        kind="plain",
        required=False,
        pattern=ANY_TEXT,
        help="Such as data.status=ok, or only a path that must not be empty. Other JSON is a refusal.",
    ),
    CredentialField(
        name="permanent_statuses",
        label="Statuses of a refusal",
        kind="plain",
        required=False,
        pattern=ANY_TEXT,
        help="The event is not sent again. Usually 4xx, except 401 and 403, which put the postback on hold.",
    ),
    CredentialField(
        name="transient_statuses",
        label="Statuses to try again",
        kind="plain",
        required=False,
        pattern=ANY_TEXT,
        help="The event is sent again later. Usually 408, 425, 429, 5xx and redirects.",
    ),
)
# The parts that say which fields a request has.
LAYOUT = ("method", "url", "body_format", "body")


def click_parameters(text: str) -> list[str]:
    """The names in lower case, as audience/digest reads them."""
    return list(dict.fromkeys(filter(None, re.split(r"[,\s]+", text.lower()))))
