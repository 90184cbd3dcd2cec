"""Click ids and cookies that senders state for one destination of Segment or RudderStack, under names of its mapping.

They are moved to where every dialect has them: cookies to `cookies` of the context, click ids to its campaign.
"""

import re
from collections.abc import Mapping
from typing import Any

from audience.intake.dialects.segment_fields import mapping

# Name of the destination in `integrations`, in lower case -> its field -> the parameter of the click, or the cookie.
CLICKS = {"tiktok conversions": {"ttclid": "ttclid"}, "reddit conversions api": {"click_id": "rdt_cid"}}
COOKIES = {"tiktok conversions": {"ttp": "_ttp"}, "reddit conversions api": {"uuid": "_rdt_uuid"}}
# Both products send `click_id`, `clickId` and `uuid` of the properties to Reddit. In other events they name anything:
# the click id needs a campaign of Reddit beside it, the cookie its form, milliseconds and a UUID.
REDDIT_CLICK = ("click_id", "clickId")
REDDIT_COOKIE = re.compile(r"[0-9]{12,14}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def add_destination_ids(
    context: dict[str, Any], properties: Mapping[str, Any], integrations: Mapping[str, Any]
) -> dict[str, Any]:
    """The context with these click ids and cookies, unless it states others of the same network."""
    clicks, cookies = dict[str, Any](), dict[str, Any]()
    for name, options in integrations.items():
        if isinstance(options, Mapping):
            clicks |= _renamed(options, CLICKS.get(name.lower(), {}))
            cookies |= _renamed(options, COOKIES.get(name.lower(), {}))
    uuid = properties.get("uuid")
    if isinstance(uuid, str) and REDDIT_COOKIE.fullmatch(uuid.strip()):
        cookies.setdefault("_rdt_uuid", uuid)
    click = next((properties[name] for name in REDDIT_CLICK if isinstance(properties.get(name), str)), None)
    if click and _source(context, properties) == "reddit":
        clicks.setdefault("rdt_cid", click)
    added = {"campaign": clicks, "cookies": cookies}
    return context | {name: {**ids, **mapping(context, name)} for name, ids in added.items() if ids}


def _renamed(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {ours: options[theirs] for theirs, ours in names.items() if isinstance(options.get(theirs), str)}


def _source(context: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    return str(mapping(context, "campaign").get("source") or properties.get("utm_source") or "").strip().lower()
