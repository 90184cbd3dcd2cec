"""A filter by ad network."""

from django.contrib import admin

from audience.admin.lists import values_filter
from postbacks.networks import NETWORKS


def network_filter(path: str) -> type[admin.SimpleListFilter]:
    """Return a filter of the column `path` by the networks that have postbacks."""
    return values_filter(path, "network", lambda: list(NETWORKS))
