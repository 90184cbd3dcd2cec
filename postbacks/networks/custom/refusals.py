"""What is wrong with the parts of a custom URL, as sentences for the form."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from postbacks.networks.custom import answers, templates
from postbacks.networks.custom.macros import IN_PATH, MACROS, SECRET_MACROS
from postbacks.networks.custom.parts import EVERY_CLICK, FORM, NO_BODY, click_parameters

# Of a query parameter, in lower case; Touch.parameter has 32 characters.
PARAMETER = re.compile(r"[a-z0-9_~.-]{3,32}")
MAX_PARAMETERS = 5
MAX_HEADERS = 10
# Headers that HTTP itself needs.
RESERVED = re.compile(
    r"host|content-length|transfer-encoding|connection|expect|te|trailer|upgrade|keep-alive|proxy-.*", re.IGNORECASE
)
MAX_MACROS = 100
# Names that would count visits without a click as clicks.
NOT_CLICKS = re.compile(r"utm_.*|referral_code")
# Usual names of properties: an event that has one of them would be a click, since properties may state clicks too.
# They are compared without hyphens and underscores, since senders write eventId and event_id.
LETTERS = re.compile(r"[^a-z0-9]")
PROPERTIES = frozenset(
    {
        *("id", "name", "type", "value", "price", "amount", "total", "revenue", "currency", "quantity", "sku", "code"),
        *("event", "eventid", "orderid", "order", "transactionid", "productid", "itemid", "item", "items", "products"),
        *("userid", "anonymousid", "deviceid", "sessionid", "playerid", "messageid", "receiptid", "gameid"),
        *("email", "phone", "country", "city", "region", "ip", "useragent", "timestamp", "time", "date", "status"),
        *("url", "path", "search", "title", "page", "referrer", "ref", "source", "medium", "campaign", "term"),
        *("content", "contents", "category", "label", "action", "method", "reason", "coupon", "variant", "screen"),
        *("level", "score", "mode", "map", "platform", "version", "build", "os", "browser", "device", "appid"),
        *("language", "lang", "locale", "state", "token", "key", "query", "cookies", "consent", "gad", "gadsource"),
    }
)


def refusals(credential: Mapping[str, str]) -> dict[str, str]:
    """The first problem of each part."""
    found: dict[str, str] = {}
    for name, sentence in _problems(credential):
        found.setdefault(name, sentence)
    return found


def _problems(credential: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    part = partial(_part, credential)
    yield from (("url", sentence) for sentence in _url_problems(part("url")))
    yield from (("headers", sentence) for sentence in _header_problems(part("headers")))
    yield from (("body", sentence) for sentence in _body_problems(part("body"), part("body_format")))
    yield from (("click_parameters", sentence) for sentence in _click_problems(part("click_parameters")))
    if part("method") == "GET" and part("body_format") not in ("", NO_BODY):
        yield "body_format", "A GET request has no body: select POST, or “No body”."
    for name in ("success_statuses", "permanent_statuses", "transient_statuses"):
        yield from _refused(name, answers.parse_statuses, part(name))
    yield from _refused("success_path", answers.SuccessPath.parse, part("success_path"))
    used = templates.MACRO.findall(_all_templates(credential))
    if len(used) > MAX_MACROS:
        yield "body" if part("body") else "url", f"A request has at most {MAX_MACROS} macros."
    if not part("token") and not SECRET_MACROS.isdisjoint(used):
        yield "token", "Enter the secret that replaces {secret}."


def secrets_of_another_host(stored: Mapping[str, str], entered: Mapping[str, str]) -> dict[str, str]:
    host, needed = _host(stored.get("url", "")), {**stored, **{name: text for name, text in entered.items() if text}}
    if not host or _host(needed["url"]) == host:
        return {}
    has_secret = not SECRET_MACROS.isdisjoint(templates.macros(_all_templates(needed)))
    names = (name for name, is_used in (("token", has_secret), ("headers", True)) if is_used and stored.get(name))
    return {name: host for name in names if not entered.get(name)}


def _part(credential: Mapping[str, str], name: str) -> str:
    return credential.get(name, "").strip()


def _refused(name: str, parse: Callable[[str], Any], text: str) -> Iterator[tuple[str, str]]:
    try:
        parse(text)
    except ValueError as error:
        yield name, str(error)


def _url_problems(url: str) -> Iterator[str]:
    address = url.partition("#")[0].partition("?")[0]
    host = _host(url)
    if not host or templates.MACRO.search(address.partition("://")[0] + host) or "{" in host:
        yield "Enter a complete URL, such as https://partner.example/postback. The host cannot contain macros."
    yield from _unknown(url)
    path = address.partition("://")[2].partition("/")[2]
    if misplaced := sorted((templates.macros(path) & MACROS.keys()) - IN_PATH):
        yield f"{{{misplaced[0]}}} is not available for every event. Use it only after the “?”."


def _host(url: str) -> str:
    """Host and port in lower case; '' if there is none."""
    try:
        return urlsplit(url.partition("#")[0].partition("?")[0]).netloc.lower()
    except ValueError:
        return ""


def _header_problems(text: str) -> Iterator[str]:
    try:
        headers = templates.parse_headers(text)
    except templates.TemplateError as error:
        yield str(error)
        return
    for name, value in headers:
        if RESERVED.fullmatch(name):
            yield f"The header {name} is set by Afterclick."
        yield from _unknown_in_text(value)
    if len(headers) > MAX_HEADERS:
        yield f"A request has at most {MAX_HEADERS} headers."


def _body_problems(body: str, body_format: str) -> Iterator[str]:
    if body_format in ("", NO_BODY):
        if body:
            yield "Select JSON or Form above, or clear the body."
        return
    if not body:
        yield "Enter the body."
    elif body_format == FORM:
        yield from _unknown(body)
    else:
        try:
            texts = templates.json_texts(templates.parse_json(body))
        except templates.TemplateError as error:
            yield str(error)
        else:
            yield from (sentence for text in texts for sentence in _unknown_in_text(text))


def _click_problems(text: str) -> Iterator[str]:
    names = click_parameters(text)
    if names == [EVERY_CLICK]:
        return
    for name in names:
        if LETTERS.sub("", name) in PROPERTIES:
            yield f"{name} is the name of a common property, not of a click ID. Choose another name."
        elif not PARAMETER.fullmatch(name) or NOT_CLICKS.fullmatch(name):
            yield f"{name} cannot be a click parameter. Enter names such as irclickid, separated by commas, or only *."
    if len(names) > MAX_PARAMETERS:
        yield f"A postback has at most {MAX_PARAMETERS} click parameters."


def _unknown(text: str) -> Iterator[str]:
    """A sentence for all that has braces and is no macro: {CLICK_ID}, {{click_id}}."""
    for found in templates.BRACES.findall(text):
        macro = templates.MACRO.fullmatch(found)
        if not macro or macro[1] not in MACROS:
            yield f"The macro {found} does not exist."


def _unknown_in_text(text: str) -> Iterator[str]:
    """As `_unknown` where braces may belong to the text: only what is meant as a macro."""
    for found in templates.BRACES.findall(text):
        macro, meant = templates.MACRO.fullmatch(found), re.sub(r"\W+", "_", found.strip("{} ").lower())
        if macro and macro[1] not in MACROS or not macro and meant in MACROS and found.count("{") == 1:
            yield f"The macro {found} does not exist."


def _all_templates(credential: Mapping[str, str]) -> str:
    return " ".join(credential.get(name, "") for name in ("url", "body", "headers"))
