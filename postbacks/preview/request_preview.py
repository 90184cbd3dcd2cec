"""Previews the request that entered templates make, with a made-up purchase. Secrets are never shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from postbacks.configs.rules import refusals
from postbacks.networks.interface.call import Request
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.payload_fields import HIDDEN
from postbacks.preview.fields import SAMPLE

PURCHASE = replace(
    SAMPLE,
    event_id="evt-8f14e45f",
    click_id="click-5521",
    external_id="player-42",
    value=Decimal("9.99"),
    order_id="order-1001",
    user_agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPreview:
    """`problems` are sentences with the labels of their fields; with some of them there is no request."""

    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    problems: list[str] = field(default_factory=list)


def preview_request(network: Network, credential: Mapping[str, str], *, pixel_id: str) -> RequestPreview:
    labels = {part.name: part.label for part in network.credential_fields}
    found = refusals(credential, network)
    problems = [f"{labels[name]}: {sentence}" for name, sentence in found.items()]
    shown = network.without_secrets(credential)
    target = network.target(pixel_id=pixel_id, credential=shown, base_url=network.default_url)
    try:
        request = network.build(target, PURCHASE)
    except ValueError:
        return RequestPreview(problems=problems or ["Enter a URL to see the request."])
    hidden = sorted(network.secrets(shown), key=len, reverse=True)

    def mask(text: str) -> str:
        for value in hidden:
            text = text.replace(value, HIDDEN)
        return text

    headers = {name: mask(value) for name, value in request.headers.items()}
    body = mask(_readable(request))
    return RequestPreview(method=request.method, url=mask(request.url), headers=headers, body=body, problems=problems)


def _readable(request: Request) -> str:
    """The body, JSON with line breaks."""
    text = request.body.decode(errors="replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
