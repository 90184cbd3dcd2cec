"""Click ids and campaign tags: which network a parameter names, which values are ids, and which visits were paid for.

The order and the names of networks follow the Immutable Audience attribution rules; the first rule that fits decides.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from audience.ids.values import is_placeholder

# Query parameter -> network. register() replaces `other` where there are postbacks to the network.
CLICK_IDS = {
    "fbclid": "meta",
    "ttclid": "other",
    "gclid": "google",
    "dclid": "google",
    "rdt_cid": "other",
    "twclid": "x",
    "msclkid": "other",
    "li_fat_id": "other",
    "gbraid": "google",
    "wbraid": "google",
    "sccid": "other",
    "epik": "other",
    "irclickid": "other",
}
# Meta writes it on organic links too.
ON_ORGANIC_LINKS = "fbclid"
# Values of utm_source that always mean a paid visit.
PAID_SOURCES = {"amazon_ads": "amazon", "adwords": "google", "ironsource": "other"}
# Values of utm_source that mean a paid visit with a paid utm_medium.
SOURCES = {
    "facebook": "meta",
    "fb": "meta",
    "meta": "meta",
    "instagram": "meta",
    "ig": "meta",
    "google": "google",
    "youtube": "google",
    "x": "x",
    "twitter": "x",
    "linkedin": "other",
}
PAID_MEDIA = frozenset({"paid", "paid_social", "paidsocial", "cpc", "cpm", "ppc", "ads", "sponsored_post"})
# Values of utm_medium and utm_source of links that nobody paid for, without spaces, hyphens and underscores.
ORGANIC = frozenset(
    {
        *("organic", "social", "organicsocial", "socialorganic", "socialmedia", "socialnetwork", "sm", "referral"),
        *("email", "mail", "newsletter", "sms", "push", "notification", "direct", "(none)", "none", "unpaid", "free"),
        *("post", "bio", "linkinbio", "biolink", "profile", "share", "community", "forum", "messenger", "chat", "dm"),
        *("whatsapp", "telegram", "discord", "qr", "qrcode", "linktree", "website", "blog", "press"),
    }
)
CAMPAIGN = (
    *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "referral_code"),
    *("utm_id", "utm_source_platform", "utm_creative_format", "utm_marketing_tactic"),
)
# Parameters of a URL that name an ad, as examples of ad networks name those for their macros -> how they are stored.
AD_TAGS = {
    **{name: name for name in ("campaign_name", "campaign_id", "ad_group_name", "ad_group_id", "ad_name", "ad_id")},
    **dict.fromkeys(("adgroup_name", "adset_name", "aid_name"), "ad_group_name"),
    **dict.fromkeys(("adgroup_id", "adset_id"), "ad_group_id"),
    **dict.fromkeys(("cid_name", "creative_name"), "ad_name"),
    "creative_id": "ad_id",
}
# Network -> its cookies that identify a browser.
COOKIES: dict[str, tuple[str, ...]] = {}
# Cookies of networks that may have no postbacks yet. They are stored with every click, and sent unchanged.
FIRST_PARTY_COOKIES = (
    *("_ttp", "_rdt_uuid", "_fbc", "_fbp", "_scid", "_scclid", "_twclid"),
    *("_gcl_aw", "_gcl_gb", "_gcl_ag", "_epik", "_uetmsclkid"),
)

# Networks write ASCII. This many characters of it fit a B-tree row (2,704 bytes).
MAX_LENGTH = 2048
MAX_COOKIE_LENGTH = 1024
# What ad networks and trackers replace in an ad's URL: {{ad.id}} {gclid} ${CLICK_ID} __CLICKID__ [CLICKID] <clickid>
# %%CLICK_ID%% %s. No click id has a brace.
MACRO = re.compile(r"[{}]|^(__.+__|\[.*\]|<.*>|%%.*%%|%(\d\$)?[sdi@]|\$\(?\w+\)?|@@?\w+@@?)$", re.DOTALL)
# What stands for an id in instructions, without spaces, hyphens and underscores: ttclid=YOUR_CLICK_ID.
NAMES = frozenset({"clickid", "yourclickid"})


class Paid(NamedTuple):
    """The network of a paid visit, the parameter of its click id and the id; both '' if only tags identify it."""

    network: str
    parameter: str
    click_id: str


def networks() -> list[str]:
    """Return the networks that a click may have, sorted."""
    return sorted({*CLICK_IDS.values(), *PAID_SOURCES.values(), *SOURCES.values()})


def register(network: str, *, parameters: Iterable[str], sources: Iterable[str], cookies: Iterable[str]) -> None:
    """Add a network that has postbacks: its click parameters, its values of utm_source and its cookies.

    A parameter of CLICK_IDS keeps its place there, any other comes last. Called at start-up.
    """
    CLICK_IDS.update((parameter.lower(), network) for parameter in parameters)
    SOURCES.update((source, network) for source in sources)
    COOKIES[network] = tuple(cookies)


def is_click_id(value: str) -> bool:
    """Whether a value can be sent to a network as a click id: short enough, of visible ASCII, and no macro."""
    return 0 < len(value) <= MAX_LENGTH and value.isascii() and _is_visible(value) and not is_unfilled(value)


def is_unfilled(value: str) -> bool:
    """Whether the value is a macro that was not filled in, or a placeholder: __CLICKID__, {{ad.id}}, null, 0."""
    return is_macro(value) or is_placeholder(unquote(value))


def is_macro(value: str) -> bool:
    """Whether the value is a macro, or the name of a click id, in place of one."""
    text = unquote(value)
    return MACRO.search(text) is not None or text.lower() in CLICK_IDS or _bare(text) in NAMES


def is_cookie(value: str) -> bool:
    """Whether a value can be sent as a network's cookie. That of X is JSON, in a browser URI-encoded."""
    is_whole = 0 < len(value) <= MAX_COOKIE_LENGTH and value.isascii() and value.isprintable()
    return is_whole and (unquote(value).startswith('{"') or not is_unfilled(value))


def paid(
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    *,
    untagged_is_paid: bool = True,
    table: Mapping[str, str] | None = None,
) -> Paid | None:
    """Return the paid visit that the parameters of one place state, with the campaign tags that belong to them.

    `untagged_is_paid`: whether a click id of Meta without tags counts. `table`: CLICK_IDS, or that of a game.
    """
    source, medium = tags.get("utm_source", "").lower(), tags.get("utm_medium", "").lower()
    for name, network in (table or CLICK_IDS).items():
        value = parameters.get(name, "")
        if value and is_click_id(value) and (name != ON_ORGANIC_LINKS or _is_paid(source, medium, untagged_is_paid)):
            return Paid(network, name, value)
    return paid_by_tags(parameters)


def paid_by_tags(tags: Mapping[str, str]) -> Paid | None:
    source, medium = tags.get("utm_source", "").lower(), tags.get("utm_medium", "").lower()
    if source in PAID_SOURCES:
        return Paid(PAID_SOURCES[source], "", "")
    return Paid(SOURCES[source], "", "") if source in SOURCES and _is_paid_medium(medium) else None


def _is_paid(source: str, medium: str, untagged_is_paid: bool) -> bool:
    """Whether a click id of Meta is one of an ad, by the tags of the same URL."""
    if not source and not medium:
        return untagged_is_paid
    if _is_paid_medium(medium):
        return True
    return ORGANIC.isdisjoint({_bare(medium), _bare(source)})


def _is_paid_medium(medium: str) -> bool:
    return medium in PAID_MEDIA or medium.startswith("pmax")


def _bare(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).lower()


def _is_visible(value: str) -> bool:
    return value.isprintable() and " " not in value
