"""Which document explains each page of the Hub: the link in the head of the page."""

from collections.abc import Mapping

from audience.hub.documents.catalogue import NETWORKS, Document, documents

# The document of the network in the URL, or the other one where the network has none.
OF_NETWORK = "of the network"
# URL name -> name of the document. Pages of a network with another document than the network's are here too.
DOCUMENTS = {
    **dict.fromkeys(("overview", "conversions", "conversion"), "attribution"),
    **dict.fromkeys(("guide", "guide-key"), "migrating"),
    **dict.fromkeys(("events", "event"), "events"),
    **dict.fromkeys(("catalog", "catalog-event", "catalog-describe"), "event-catalog"),
    **dict.fromkeys(("rejection", "rejection-replay"), "errors"),
    **dict.fromkeys(("people", "person"), "identity"),
    **dict.fromkeys(("campaigns", "campaign-players", "campaign-conversions", "cohorts"), "campaigns"),
    **dict.fromkeys(("costs", "cost-upload", "cost-columns", "cost-delete", "report-settings"), "campaigns"),
    **dict.fromkeys(("steam-numbers", "steam-upload", "steam-delete"), "campaigns"),
    **dict.fromkeys(("links", "link", "link-add", "link-edit", "link-archive"), "links"),
    **dict.fromkeys(("goals", "goal-add", "goal-edit", "goal-delete", "postback-copy"), "goals"),
    **dict.fromkeys(("keys", "key-new", "key-change", "key-rename", "key-rotate", "key-revoke"), "keys"),
    **dict.fromkeys(("tokens", "token-new", "token-rotate", "token-revoke"), "api"),
    **dict.fromkeys(("hook-add", "hook-change", "hook-rotate", "hook-delete"), "webhooks"),
    **dict.fromkeys(("privacy", "privacy-person", "retention", "erase"), "deleting-data"),
    **dict.fromkeys(("joins", "joins-settings"), "joins"),
    "consent": "consent",
    "quality": "contacts",
    "pixel": "pixel",
    "ad-clicks": f"{NETWORKS}/meta",
    **dict.fromkeys(("integrations", "game-settings"), "attribution"),
    **dict.fromkeys(("integration", "comparison", "deliveries", "attempt", "check", "replays", "preview"), OF_NETWORK),
    **dict.fromkeys(
        ("postback-add", "postback-edit", "postback-history", "postback-disable", "postback-hold"), OF_NETWORK
    ),
    **dict.fromkeys(("postback-delete", "dry-run"), OF_NETWORK),
}
# Pages of a game without a document, and why.
WITHOUT = {
    "alerts": "its settings explain themselves; docs/operations.md is for who runs the server",
    "members": "its page explains the roles",
    "member-invite": "as members",
    "member-role": "as members",
    "member-remove": "as members",
    "invitation-link": "as members",
    "audit-log": "a list that explains itself",
}


def document_of(url_name: str | None, arguments: Mapping[str, object]) -> Document | None:
    """Return the document that explains a page; None if there is none."""
    name = DOCUMENTS.get(url_name or "", "")
    if name == OF_NETWORK:
        name = f"{NETWORKS}/{arguments.get('network')}"
    return documents().get(name)
