"""Builds the request of a postback from its templates."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from postbacks.networks.custom import parts, templates
from postbacks.networks.custom.macros import SECRET_MACROS, Values, base64_of
from postbacks.networks.interface.call import Request, Target
from postbacks.networks.interface.network import USER_AGENT
from postbacks.networks.interface.payload_fields import HIDDEN
from postbacks.networks.interface.values import json_body

# The base address that means the host of each URL. With any other (CUSTOM_API_URL) all requests go there, to a path
# that begins with /custom/ and the host.
OWN_HOST = "https://{host}"
SECRET_HEADERS_BEGIN = ("Bearer ", "Basic ", "Token ")
# Headers without a secret.
USUAL_HEADERS = frozenset({"accept", "accept-language", "cache-control", "content-type", "user-agent"})
# Shorter texts would be masked everywhere in the answers: the 2 of `X-Version: 2` in every status.
MIN_SECRET_LENGTH = 6


def request_of(target: Target, values: Values) -> Request:
    """Raises TemplateError, a ValueError, if the templates cannot be filled in."""
    credential = target.credential
    method, url = credential.get("method") or "GET", templates.fill_url(credential.get("url", ""), values)
    return Request(
        method=method,
        url=_redirected(url, target.base_url),
        headers=_headers(credential, values),
        body=_body(credential, values),
        secrets=target.secrets,
        shown=_shown(method, credential, values),
        is_public_only=target.base_url == OWN_HOST,
    )


def secrets_of(credential: Mapping[str, str]) -> tuple[str, ...]:
    """The secret in each of its encodings, and what the headers have beside macros."""
    token = credential.get("token", "")
    texts = [
        text for name, value in _entered_headers(credential) if not _is_usual(name) for text in _secret_texts(value)
    ]
    found = (token, quote(token, safe=""), base64_of(token), *texts)
    return tuple(dict.fromkeys(filter(None, found)))


def without_secrets(credential: Mapping[str, str]) -> dict[str, str]:
    """The credential with stars in place of the secret, and of what the headers have beside macros."""
    shown = {**credential, "token": HIDDEN if credential.get("token") else ""}
    if headers := _entered_headers(credential):
        lines = (f"{name}: {value if _is_usual(name) else _starred(value)}" for name, value in headers)
        shown["headers"] = "\n".join(lines)
    return shown


def _entered_headers(credential: Mapping[str, str]) -> list[tuple[str, str]]:
    """[] if they cannot be read: then there is no request that they would be a part of."""
    try:
        return templates.parse_headers(credential.get("headers", ""))
    except templates.TemplateError:
        return []


def _is_usual(name: str) -> bool:
    return name.lower() in USUAL_HEADERS


def _secret_texts(value: str) -> list[str]:
    texts = templates.literals(value)
    texts += [text.removeprefix(word) for text in texts for word in SECRET_HEADERS_BEGIN if text.startswith(word)]
    return [text for text in texts if len(text) >= MIN_SECRET_LENGTH and f"{text} " not in SECRET_HEADERS_BEGIN]


def _starred(value: str) -> str:
    begin = next((word for word in SECRET_HEADERS_BEGIN if value.startswith(word)), "")
    pieces = filter(None, templates.WHOLE_MACRO.split(value.removeprefix(begin)))
    return begin + "".join(piece if templates.MACRO.fullmatch(piece) else HIDDEN for piece in pieces)


def _redirected(url: str, base_url: str) -> str:
    if base_url == OWN_HOST:
        return url
    return f"{base_url.rstrip('/')}/custom/{url.partition('://')[2]}"


def _headers(credential: Mapping[str, str], values: Values) -> dict[str, str]:
    content_type = parts.CONTENT_TYPES.get(credential.get("body_format", ""))
    entered = templates.fill_headers(credential.get("headers", ""), values)
    usual = {"User-Agent": USER_AGENT, **({"Content-Type": content_type} if content_type else {})}
    names = {name.lower() for name in entered}
    return {**{name: value for name, value in usual.items() if name.lower() not in names}, **entered}


def _body(credential: Mapping[str, str], values: Values) -> bytes:
    body, body_format = credential.get("body", ""), credential.get("body_format", "")
    if body_format == parts.JSON:
        return json_body(templates.fill_json(templates.parse_json(body), values))
    return templates.fill_pairs(body, values).encode() if body_format == parts.FORM else b""


def _shown(method: str, credential: Mapping[str, str], values: Values) -> dict[str, Any]:
    """What the delivery log stores: the request without its headers, and with stars in place of the secret."""
    values = {name: HIDDEN if name in SECRET_MACROS else value for name, value in values.items()}
    address, _, query = templates.fill_url(credential.get("url", ""), values).partition("?")
    shown: dict[str, Any] = {"method": method, "url": address.replace(quote(HIDDEN, safe=""), HIDDEN)}
    if query:
        shown["query"] = templates.pairs_by_name(query)
    body, body_format = _body(credential, values), credential.get("body_format", "")
    if body_format == parts.JSON:
        shown["body"] = json.loads(body)
    elif body_format == parts.FORM:
        shown["body"] = templates.pairs_by_name(body.decode())
    return shown
