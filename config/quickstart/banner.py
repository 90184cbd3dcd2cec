"""The banner shown once everything runs."""

import json
import shlex
import uuid
from datetime import UTC, datetime
from typing import Any

from config.quickstart.plan import Plan
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network

FIRST_ADMIN = "make admin (or python manage.py createsuperuser)"


def banner(plan: Plan, demo: dict[str, Any] | None) -> str:
    """Return aligned lines with addresses, logins and a working request. `demo` is the output of `manage.py demo
    --json`.

    Raises KeyError if a value is missing.
    """
    rows = [("Hub", plan.public_url)]
    if demo:
        users = [(role, demo["users"][role]) for role in ("admin", "marketer")]
        rows += [(role.capitalize(), f"{user['email']}  {user['password']}") for role, user in users]
    else:
        rows.append(("First admin", FIRST_ADMIN))
    if demo and plan.sandbox_url:
        rows.append(("Demo page", f"{plan.public_url}/demo/ (from an ad click to the conversion, in a minute)"))
    rows.append(("API docs", f"{plan.public_url}/api/docs/"))
    if plan.sandbox_url:
        rows.append(("Ad networks", f"{plan.sandbox_url}/sandbox/requests (imitations; nothing leaves this machine)"))
    rows += [(network.label, f"postbacks go to {_destination(plan, network)}") for network in NETWORKS.values()]
    lines = ["", "  Afterclick is ready.", "", *(f"  {name:<12} {value}" for name, value in rows), ""]
    if demo:
        lines += ["  Send an event:", "", f"  {_curl(plan, demo['publishable_key'])}", ""]
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])


def _destination(plan: Plan, network: Network) -> str:
    url = plan.network_urls[network.url_variable]
    if url == plan.sandbox_url:
        return f"{url} (an imitation on this machine)"
    if url == network.default_url:
        return f"{url} (the network itself; {network.url_variable} overrides it)"
    return f"{url} ({network.url_variable})"


def _curl(plan: Plan, key: str) -> str:
    """Return a request with a purchase that carries its own click and so leads to a delivery; valid for 30 days."""
    event = {
        "type": "track",
        "messageId": str(uuid.uuid4()),
        "eventTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventName": "purchase",
        "userId": "player-1",
        "properties": {"value": 9.99, "currency": "USD", "ttclid": "E.C.P.first"},
        "context": {"library": "curl", "libraryVersion": "1"},
    }
    body = json.dumps({"messages": [event]}, separators=(",", ":"))
    url = f"{plan.public_url}/v1/audience/messages"
    return shlex.join(["curl", url, "-H", f"x-immutable-publishable-key: {key}", "-d", body])
