"""Rows for tests: each function has defaults for all fields, which keyword arguments override."""

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from audience.digest import money, orders
from audience.models import Conversion, Game, Identity, Person, Touch, TrackingLink, Trigger
from postbacks.models import Delivery, DeliveryAttempt, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import imitation_of
from postbacks.outbox.goals import trigger_settings

_numbers = itertools.count(1)
ACCOUNTS = {kind: imitation_of(network).accounts for kind, network in NETWORKS.items()}
PIXELS = {kind: accounts.pixel for kind, accounts in ACCOUNTS.items()}
TOKENS = {kind: accounts.token for kind, accounts in ACCOUNTS.items()}


def game(**overrides: Any) -> Game:
    number = next(_numbers)
    return Game.objects.create(**{"name": f"Game {number}", "slug": f"game-{number}", **overrides})


def person(of: Game, *, anonymous: str = "", user: str = "", **overrides: Any) -> Person:
    """A player, with an identity for each of the ids."""
    now = timezone.now()
    row = Person.objects.create(**{"game": of, "first_seen_at": now, "last_seen_at": now, **overrides})
    for namespace, value in (("anonymous", anonymous), ("user", user)):
        if value:
            identity(row, namespace=namespace, value=value)
    return row


def identity(of: Person, *, namespace: str = "anonymous", value: str, **overrides: Any) -> Identity:
    fields = {"game": of.game, "person": of, "namespace": namespace, "value": value}
    return Identity.objects.create(**{**fields, **overrides})


def link(of: Game, **overrides: Any) -> TrackingLink:
    """A tracking link to a website of the studio."""
    number = next(_numbers)
    fields = {
        "game": of,
        "name": f"Link {number}",
        "slug": f"link-{number}",
        "destination": "https://game.example/play",
    }
    return TrackingLink.objects.create(**{**fields, **overrides})


def touch(of: Person, *, network: str = "tiktok", click_id: str = "E.C.P.click", **overrides: Any) -> Touch:
    """A click one hour ago, from a browser with an IP address."""
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
    return Touch.objects.create(**{**fields, **overrides})


def conversion(of: Person, *, touch: Touch | None = None, **overrides: Any) -> Conversion:
    """A purchase of 9.99 USD a minute ago, not fanned out yet. Its value is that of its properties."""
    event_at = overrides.get("event_at", timezone.now() - timedelta(minutes=1))
    properties = overrides.get("properties", {"value": 9.99, "currency": "USD"})
    paid = money.read(properties)
    fields = {
        "game": of.game,
        "person": of,
        "trigger": "purchase",
        "message_id": f"message-{next(_numbers)}",
        "event_day": event_at.date(),
        "event_at": event_at,
        "touch": touch,
        "reason": "" if touch else "no_click",
        "properties": properties,
        "value": paid.amount,
        "currency": paid.currency,
        "value_problem": paid.problem,
        "order_id": orders.read_order_id(properties),
    }
    return Conversion.objects.create(**{**fields, **overrides})


def config(of: Game, *, network: str = "tiktok", **overrides: Any) -> PostbackConfig:
    """An enabled postback for both triggers, with a pixel, a credential and object ids that the sandbox accepts.

    Triggers that have an object id are goals of the row.
    """
    accounts = imitation_of(NETWORKS[network]).accounts
    triggers = overrides.pop("triggers", Trigger.values)
    ids = {trigger: object_id for trigger, object_id in accounts.object_ids.items() if trigger in triggers}
    settings = trigger_settings(ids)
    fields = {
        "game": of,
        "network": network,
        "pixel_id": accounts.pixel,
        "credential": accounts.stored_credential(),
        "click_parameters": list(NETWORKS[network].click_parameters_of(accounts.stored_credential())),
        "triggers": [trigger for trigger in triggers if trigger not in ids],
        "goals": settings["goals"],
        "validated_at": timezone.now(),
    }
    return PostbackConfig.objects.create(**{**fields, **overrides})


def delivery(config: PostbackConfig, *, conversion: Conversion | None = None, **overrides: Any) -> Delivery:
    """A waiting and due delivery, of `conversion` or of a purchase of a new player."""
    conversion = conversion or new_conversion(config)
    fields = {
        "game": config.game,
        "conversion": conversion,
        "config": config,
        "network": config.network,
        "trigger": conversion.trigger,
        "object_id": object_id(config.network, conversion.trigger),
        "event_id": str(conversion.pk),
        "event_at": conversion.event_at,
        "dead_after": conversion.event_at + config.kind.max_age,
        "config_version": config.version,
        "next_attempt_at": timezone.now(),
    }
    return Delivery.objects.create(**{**fields, **overrides})


def object_id(network: str, trigger: str) -> str:
    """The network's object of a built-in trigger; '' without one."""
    return ACCOUNTS[network].object_ids.get(trigger, "") if network in ACCOUNTS else ""


def new_conversion(config: PostbackConfig) -> Conversion:
    """A purchase of a new player who clicked an ad of the config's network, fanned out."""
    player = person(config.game)
    click = touch(player, network=config.network)
    return conversion(player, touch=click, fanned_out_at=timezone.now())


def attempt(of: Delivery, *, ago: timedelta = timedelta(minutes=5), **overrides: Any) -> DeliveryAttempt:
    """The next attempt of a delivery, closed as a success."""
    started_at = timezone.now() - ago
    fields = {
        "config": of.config,
        "number": of.attempts.count() + 1,
        "config_version": 1,
        "started_at": started_at,
        "finished_at": started_at,
        "status": "success",
        "verdict": "success",
        "http_status": 200,
        "latency_ms": 123,
    }
    return of.attempts.create(**{**fields, **overrides})


def unsaved_configs() -> list[PostbackConfig]:
    """One config per network, not saved."""
    return [PostbackConfig(network=network, pixel_id=pixel) for network, pixel in PIXELS.items()]
