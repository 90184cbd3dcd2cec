"""The demo game: two logins, a key per dialect, a postback per network, and a few days of history.

Loading it again changes nothing but the addresses of its page. Its secrets are derived from SECRET_KEY, so that they
differ between installations and need not be stored.
"""

import base64
import hashlib
import hmac
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from audience.digest import queue
from audience.games import keys, return_addresses
from audience.models import (
    ApiKey,
    Batch,
    Dialect,
    Environment,
    Game,
    KeyKind,
    LinkConsent,
    Membership,
    Role,
    TrackingLink,
)
from audience.models.keys import sha256_hex
from config.demo import history
from postbacks.configs import lifecycle, versions
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import imitation_of
from postbacks.networks.interface.network import Network
from postbacks.outbox import fan_out
from postbacks.outbox.goals import trigger_settings
from postbacks.sandbox.in_use import is_local

SLUG = "demo"
USERS = {
    "admin": ("admin@afterclick.example", Role.ADMIN),
    "marketer": ("marketer@afterclick.example", Role.MARKETER),
}
SANDBOX_URL = "http://127.0.0.1:8010"
PAGE = "/demo/"
LINK_SLUG = "demo-ad"
CLAIM_PAGE = {
    "joins": ["steam", "code", "referrer"],
    "reward_text": "Connect your account and get the Comet skin in Starfall.",
}


def load() -> dict[str, Any]:
    """Create the missing parts of the demo game; return the object that `demo --json` prints."""
    with transaction.atomic():
        game, _ = Game.objects.get_or_create(slug=SLUG, defaults={"name": "Starfall Demo", **CLAIM_PAGE})
        for name, (email, role) in USERS.items():
            _create_user(name, email, role, game)
        api_keys = _create_keys(game)
        _create_postbacks(game)
        _set_addresses(game)
    if not Batch.objects.filter(game=game).exists():
        history.send_history(key=ApiKey.objects.select_related("game").get(pk=api_keys["publishable"].pk))
        queue.drain()
        fan_out.fan_out_due()
    return _output(api_keys)


def publishable_key() -> str:
    """Return the value of the key of the demo's website and back end, whether it exists or not."""
    return keys.key_value(KeyKind.PUBLISHABLE, Environment.PRODUCTION, _secret("key publishable", 32))


def _secret(purpose: str, length: int) -> str:
    """Return letters and digits derived from SECRET_KEY."""
    derived = hmac.new(settings.SECRET_KEY.encode(), f"demo {purpose}".encode(), hashlib.sha256).digest()
    return base64.b32encode(derived).decode().lower()[:length]


def _create_user(name: str, email: str, role: Role, game: Game) -> None:
    user, created = User.objects.get_or_create(username=email, defaults={"email": email})
    if created:
        user.set_password(_secret(f"password {name}", 16))
        user.is_staff = user.is_superuser = role == Role.ADMIN
        user.save()
    Membership.objects.get_or_create(game=game, user=user, defaults={"role": role})


def _create_keys(game: Game) -> dict[str, ApiKey]:
    fields = {
        "publishable": ("Demo backend", KeyKind.PUBLISHABLE, Environment.PRODUCTION, Dialect.IMMUTABLE),
        "sandbox": ("Demo test traffic", KeyKind.PUBLISHABLE, Environment.SANDBOX, Dialect.IMMUTABLE),
        "secret": ("Demo erasure", KeyKind.SECRET, Environment.PRODUCTION, Dialect.IMMUTABLE),
        "rudderstack": ("Demo RudderStack", KeyKind.PUBLISHABLE, Environment.PRODUCTION, Dialect.RUDDERSTACK),
        "metarouter": ("Demo MetaRouter", KeyKind.PUBLISHABLE, Environment.PRODUCTION, Dialect.METAROUTER),
        "parcelvoy": ("Demo Parcelvoy", KeyKind.PUBLISHABLE, Environment.PRODUCTION, Dialect.PARCELVOY),
    }
    api_keys = {}
    for purpose, (name, kind, environment, dialect) in fields.items():
        entropy = _secret(f"key {purpose}", 32)
        value = keys.key_value(kind, environment, entropy)
        api_keys[purpose] = ApiKey.objects.filter(game=game, digest=sha256_hex(value)).first() or (
            keys.create_key(
                game=game, name=name, kind=kind, environment=environment, dialect=dialect, entropy=entropy
            ).key
        )
    return api_keys


def _create_postbacks(game: Game) -> None:
    """Create an enabled postback per network whose address is on this machine, so that no real network gets invalid
    credentials. Disable an earlier demo postback of any other network.
    """
    for kind, network in NETWORKS.items():
        accounts = imitation_of(network).accounts
        if not is_local(settings.NETWORK_URLS[kind]):
            for config in PostbackConfig.objects.kept().filter(game=game, pixel_id=accounts.pixel, enabled=True):
                lifecycle.disable(config=config)
            continue
        config, created = PostbackConfig.objects.get_or_create(
            game=game,
            network=kind,
            pixel_id=accounts.pixel,
            deleted_at=None,
            defaults={
                "credential": accounts.stored_credential(),
                "click_parameters": list(network.click_parameters_of(accounts.stored_credential())),
                **trigger_settings(accounts.object_ids),
                "validated_at": timezone.now(),
            },
        )
        if created:
            versions.record(config=config, change="Created with the demo game", set_by=None)


def _set_addresses(game: Game) -> None:
    """Let a sign-in with Steam return to the demo page, and the demo's tracking link lead to it, at PUBLIC_URL."""
    page = settings.PUBLIC_URL + PAGE
    others = [address for address in game.return_addresses if not address.endswith(PAGE)]
    try:
        allowed = [*others, return_addresses.cleaned_address(page)]
    except ValueError:
        allowed = others  # http:// at another machine's address: the sign-in ends on the claim page
    if game.return_addresses != allowed:
        game.return_addresses = allowed
        game.save(update_fields=["return_addresses"])
    # Not by create_link, which refuses destinations on this machine: real players cannot open them. At none the link
    # stores nothing, and the pixel of the page stores the click as the visitor decides.
    fields = {"name": "Ads of the demo page", "destination": page, "consent": LinkConsent.NONE}
    link, _ = TrackingLink.objects.get_or_create(slug=LINK_SLUG, defaults={"game": game, **fields})
    if link.game_id == game.pk and link.destination != page:
        link.destination = page
        link.save(update_fields=["destination"])


def _output(api_keys: dict[str, ApiKey]) -> dict[str, Any]:
    local = [url for url in settings.NETWORK_URLS.values() if is_local(url)]
    return {
        "url": settings.PUBLIC_URL,
        "game": SLUG,
        "publishable_key": api_keys["publishable"].value,
        "sandbox_key": api_keys["sandbox"].value,
        "secret_key": keys.key_value(KeyKind.SECRET, Environment.PRODUCTION, _secret("key secret", 32)),
        "write_keys": {name: api_keys[name].value for name in ("rudderstack", "metarouter", "parcelvoy")},
        "users": {
            name: {"email": email, "password": _secret(f"password {name}", 16)} for name, (email, _) in USERS.items()
        },
        "sandbox_url": local[0] if local else SANDBOX_URL,
        "networks": {kind: _accepted_by(network) for kind, network in NETWORKS.items()},
    }


def _accepted_by(network: Network) -> dict[str, str]:
    """Return a pixel id and a credential that the imitation accepts. Further parts of it, and the network's objects of
    the triggers, are named by their form fields.
    """
    accounts = imitation_of(network).accounts
    stored = accounts.stored_credential()
    parts = {part.form_name: stored[part.name] for part in network.credential_fields if part.name in stored}
    object_ids = {f"object_id_{trigger}": id_ for trigger, id_ in accounts.object_ids.items()}
    return {"pixel_id": accounts.pixel, "credential": accounts.token, **parts, **object_ids}
