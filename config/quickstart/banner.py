"""What a newcomer reads once everything runs."""

import shlex
from typing import Any

from config.quickstart.plan import Plan

EVENT = '{"anonymousId":"visitor-1","event":"game_launch","properties":{"ttclid":"click-1"}}'
FIRST_ADMIN = "make admin (or python manage.py createsuperuser)"


def banner(plan: Plan, demo: dict[str, Any] | None) -> str:
    """Aligned lines: addresses, logins, one request that works. `demo` is what `manage.py demo --json` printed.

    Raises KeyError when `demo` lacks a promised value.
    """
    rows = [("Hub", plan.public_url)]
    if demo:
        rows += [(role.capitalize(), _login(demo["users"][role])) for role in ("admin", "marketer")]
    else:
        rows.append(("First admin", FIRST_ADMIN))
    rows.append(("API docs", f"{plan.public_url}/api/docs/"))
    if plan.sandbox_url:
        rows.append(("Ad networks", f"{plan.sandbox_url}/sandbox/requests (imitations; nothing leaves this machine)"))
    lines = ["", "  Afterclick is ready.", "", *(f"  {name:<12} {value}" for name, value in rows), ""]
    if demo:
        lines += ["  Send an event:", "", f"  {_curl(plan, demo['write_keys']['rudderstack'])}", ""]
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])


def _login(user: dict[str, str]) -> str:
    return f"{user['email']}  {user['password']}"


def _curl(plan: Plan, write_key: str) -> str:
    return shlex.join(["curl", "-u", f"{write_key}:", f"{plan.public_url}/v1/track", "-d", EVENT])
