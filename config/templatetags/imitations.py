"""Tags that show on a page which networks are imitations."""

from typing import Any

from django import template

from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network
from postbacks.sandbox.in_use import Replacement, replacement_of, replacements, steam_is_replaced

register = template.Library()


@register.inclusion_tag("hub/parts/imitation_bar.html", takes_context=True)
def imitation_bar(context: template.Context) -> dict[str, Any]:
    """The bar of every page while a network is replaced. Makes no query."""
    found = replacements()
    user = getattr(context.get("request"), "user", None)
    network = context.get("network")
    return {
        "imitated": [row.network.label for row in found if row.is_local],
        "all_are_imitated": len([row for row in found if row.is_local]) == len(NETWORKS),
        "steam_is_replaced": steam_is_replaced(),
        "elsewhere": [row for row in found if not row.is_local],
        "is_signed_in": user is not None and user.is_authenticated,
        "kind": network.kind if isinstance(network, Network) else "",
    }


@register.simple_tag
def imitation_of(network: Network) -> Replacement | None:
    """Return the imitation on this machine that takes the network's conversions; None without one."""
    found = replacement_of(network)
    return found if found and found.is_local else None
