"""Whether the demo page exists: only where nothing that it sends can leave this machine."""

from django.conf import settings
from django.http import Http404

from audience.intake.requests.auth import find_key
from audience.models import ApiKey
from config.demo import loading
from postbacks.sandbox.in_use import is_local


def demo_key() -> ApiKey:
    """Return the publishable key of the demo game.

    Raises Http404 unless the demo game is loaded, and all networks and Steam are imitations on this machine. In
    production, networks have their own addresses.
    """
    addresses = [*settings.NETWORK_URLS.values(), settings.STEAM_OPENID_URL]
    key = find_key(loading.publishable_key()) if all(map(is_local, addresses)) else None
    if key is None or key.game.slug != loading.SLUG:
        raise Http404("This page does not exist.")
    return key
