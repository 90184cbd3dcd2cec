"""Rows for tests: each function has defaults for all fields and takes others by name."""

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from audience.models import Conversion, Game, Identity, Person, Touch
from postbacks.models import Delivery, DeliveryAttempt, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import imitation_of

_numbers = itertools.count(1)
ACCOUNTS = {kind: imitation_of(network).accounts for kind, network in NETWORKS.items()}
PIXELS = {kind: accounts.pixel for kind, accounts in ACCOUNTS.items()}
TOKENS = {kind: accounts.token for kind, accounts in ACCOUNTS.items()}


def game(**given: Any) -> Game:
    number = next(_numbers)
    return Game.objects.create(**{"name": f"Game {number}", "slug": f"game-{number}", **given})


def person(of: Game, *, anonymous: str = "", user: str = "", **given: Any) -> Person:
    """A player, with an identity for each id given."""
    now = timezone.now()
    row = Person.objects.create(**{"game": of, "first_seen_at": now, "last_seen_at": now, **given})
    for namespace, value in (("anonymous", anonymous), ("user", user)):
        if value:
            identity(row, namespace=namespace, value=value)
    return row


def identity(of: Person, *, namespace: str = "anonymous", value: str, **given: Any) -> Identity:
    return Identity.objects.create(**{"game": of.game, "person": of, "namespace": namespace, "value": value, **given})


def touch(of: Person, *, network: str = "tiktok", click_id: str = "E.C.P.click", **given: Any) -> Touch:
    """A click an hour ago, from a browser with an IP address."""
    fields = {
        "game": of.game,
        "person": of,
        "network": network,
        "click_key": click_id or f"message:{next(_numbers)}",
        "click_id": click_id,
        "clicked_at": timezone.now() - timedelta(hours=1),
        "message_id": f"click-{next(_numbers)}",
        "page_url": "https://game.example/landing",
        "referrer": "https://ads.example/",
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (click)",
    }
    return Touch.objects.create(**{**fields, **given})


def conversion(of: Person, *, touch: Touch | None = None, **given: Any) -> Conversion:
    """A purchase of 9.99 USD a minute ago, not fanned out yet."""
    at = given.get("event_at", timezone.now() - timedelta(minutes=1))
    fields = {
        "game": of.game,
        "person": of,
        "trigger": "purchase",
        "message_id": f"message-{next(_numbers)}",
        "event_day": at.date(),
        "event_at": at,
        "touch": touch,
        "reason": "" if touch else "no_click",
        "properties": {"value": 9.99, "currency": "USD"},
    }
    return Conversion.objects.create(**{**fields, **given})


def config(of: Game, *, network: str = "tiktok", **given: Any) -> PostbackConfig:
    """An enabled postback for both triggers, with a pixel and credential that the sandbox accepts."""
    accounts = imitation_of(NETWORKS[network]).accounts
    fields = {
        "game": of,
        "network": network,
        "pixel_id": accounts.pixel,
        "credential": accounts.stored_credential(),
        "triggers": ["game_launch", "purchase"],
        "validated_at": timezone.now(),
    }
    return PostbackConfig.objects.create(**{**fields, **given})


def delivery(config: PostbackConfig, *, conversion: Conversion | None = None, **given: Any) -> Delivery:
    """Waiting and due, for a purchase of a new player unless a conversion is given."""
    of = conversion or new_conversion(config)
    fields = {
        "game": config.game,
        "conversion": of,
        "config": config,
        "network": config.network,
        "trigger": of.trigger,
        "event_id": str(of.pk),
        "event_at": of.event_at,
        "dead_after": of.event_at + config.kind.max_age,
        "config_version": config.version,
        "next_attempt_at": timezone.now(),
    }
    return Delivery.objects.create(**{**fields, **given})


def new_conversion(config: PostbackConfig) -> Conversion:
    """A purchase of a new player who clicked an ad of the config's network, fanned out."""
    player = person(config.game)
    click = touch(player, network=config.network)
    return conversion(player, touch=click, fanned_out_at=timezone.now())


def attempt(of: Delivery, *, ago: timedelta = timedelta(minutes=5), **given: Any) -> DeliveryAttempt:
    """The next attempt of a delivery, closed as a success."""
    at = timezone.now() - ago
    fields = {
        "config": of.config,
        "number": of.attempts.count() + 1,
        "config_version": 1,
        "started_at": at,
        "finished_at": at,
        "status": "success",
        "verdict": "success",
        "http_status": 200,
        "latency_ms": 123,
    }
    return of.attempts.create(**{**fields, **given})


def unsaved_configs() -> list[PostbackConfig]:
    """One config per network, not saved."""
    return [PostbackConfig(network=network, pixel_id=pixel) for network, pixel in PIXELS.items()]
