"""What is wrong with the parts of a custom URL, as sentences for the form."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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
# Names that would count visits without a click as clicks.
NOT_CLICKS = re.compile(r"utm_.*|referral_code")
# Usual names of properties: an event that has one of them would be a click, since properties may state clicks too.
PROPERTIES = frozenset(
    {
        *("id", "name", "type", "value", "price", "amount", "total", "revenue", "currency", "quantity", "sku", "code"),
        *("event", "event_id", "order_id", "orderid", "transaction_id", "transactionid", "product_id", "item_id"),
        *("user_id", "userid", "anonymous_id", "device_id", "session_id", "player_id", "email", "phone", "country"),
        *("url", "path", "search", "title", "page", "referrer", "ref", "source", "medium", "campaign", "term"),
        *("content", "level", "platform", "version", "language", "lang", "locale", "state", "token", "key", "query"),
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
    if not part("token") and not SECRET_MACROS.isdisjoint(_all_macros(credential)):
        yield "token", "Enter the secret that {secret} stands for."


def _part(credential: Mapping[str, str], name: str) -> str:
    return credential.get(name, "").strip()


def _refused(name: str, parse: Callable[[str], Any], text: str) -> Iterator[tuple[str, str]]:
    try:
        parse(text)
    except ValueError as error:
        yield name, str(error)


def _url_problems(url: str) -> Iterator[str]:
    address, _, query = url.partition("#")[0].partition("?")
    try:
        host = urlsplit(address).netloc
    except ValueError:
        host = ""
    if not host or templates.MACRO.search(address.partition("://")[0] + host) or "{" in host:
        yield "Enter a whole address, such as https://partner.example/postback. Its host has no macros."
    yield from _unknown(templates.macros(url))
    path = address.partition("://")[2].partition("/")[2]
    if misplaced := sorted((templates.macros(path) & MACROS.keys()) - IN_PATH):
        yield f"{{{misplaced[0]}}} is not known of every event: use it after the ? only."


def _header_problems(text: str) -> Iterator[str]:
    try:
        headers = templates.parse_headers(text)
    except templates.TemplateError as error:
        yield str(error)
        return
    for name, value in headers:
        if RESERVED.fullmatch(name):
            yield f"The header {name} is set by Afterclick."
        yield from _unknown(templates.macros(value))
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
        yield from _unknown(templates.macros(body))
    else:
        try:
            texts = templates.json_texts(templates.parse_json(body))
        except templates.TemplateError as error:
            yield str(error)
        else:
            yield from _unknown(set().union(*map(templates.macros, texts)))


def _click_problems(text: str) -> Iterator[str]:
    names = click_parameters(text)
    if names == [EVERY_CLICK]:
        return
    for name in names:
        if name in PROPERTIES:
            yield f"{name} is the name of a usual property, which is no click: choose another."
        elif not PARAMETER.fullmatch(name) or NOT_CLICKS.fullmatch(name):
            yield f"{name} cannot be a click parameter: enter names such as irclickid, with commas, or only *."
    if len(names) > MAX_PARAMETERS:
        yield f"A postback has at most {MAX_PARAMETERS} click parameters."


def _unknown(names: Iterable[str]) -> Iterator[str]:
    yield from (f"There is no macro {{{name}}}." for name in sorted(set(names) - MACROS.keys()))


def _all_macros(credential: Mapping[str, str]) -> set[str]:
    return templates.macros(" ".join(credential.get(name, "") for name in ("url", "body", "headers")))
