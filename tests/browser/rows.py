"""A row of everything that a page of the Hub can show, with long texts."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from audience.accounts import tokens
from audience.games import keys
from audience.models import (
    ApiToken,
    Batch,
    Conversion,
    DescribedEvent,
    Device,
    Erasure,
    Event,
    EventCount,
    FailedWork,
    Game,
    Group,
    Invitation,
    KeyKind,
    Kind,
    LinkConsent,
    LinkCount,
    Membership,
    ModeledMatch,
    Person,
    PropertyCount,
    Queue,
    Reason,
    Rejection,
    Role,
    Scope,
    SenderCount,
    ValueProblemCount,
)
from consent.models import ConsentDecision
from postbacks.configs import hold, versions
from postbacks.models import (
    AdCost,
    Alert,
    AlertHook,
    CredentialCheck,
    DeliveryAttempt,
    GameGoal,
    HookEvent,
    HookMessage,
    Notice,
    PostbackConfig,
    Replay,
)
from postbacks.monitoring.alerts import hooks
from postbacks.reporting.campaigns import costs, refresh
from postbacks.reporting.steam import files, uploads
from tests import factories, hub

LONG = "averylongidentifierwithoutanyspaces" * 3
REFUSED = "Access token is incorrect or has been revoked. Make a new one in TikTok Events Manager, then rotate it here."


def fill(game: Game) -> None:
    """Create events of players and the settings of the studio."""
    add_events(game)
    add_counts(game)
    set_up(game, by=hub.user("colleague"))


def set_up(game: Game, *, by: Any) -> None:
    """Create keys in every state, members, webhooks, erasure receipts, and postbacks with problems."""
    _keys(game, by)
    _links(game)
    _people(game, by)
    _tokens(game, by)
    config = PostbackConfig.objects.kept().filter(game=game, network="tiktok").first() or factories.config(game)
    if not config.versions.exists():
        versions.record(config=config, change="Trigger events changed", set_by=by)
    _log(config, by)
    troubled = factories.config(game, pixel_id="CHELDHELDHELDHELDHEL")
    factories.delivery(troubled, next_attempt_at=timezone.now())
    hold.hold(config=troubled, access="token", message=REFUSED)
    condition = {"property": "value", "op": "gt", "value": "10"}
    goal = {"event": "level_up", "sent_as": "Lead", "once": True, "condition": condition}
    shared = GameGoal.objects.create(game=game, name=LONG[:64], event="vip_reached", condition=condition, once=True)
    GameGoal.objects.create(game=game, name="Tutorial", event="complete_tutorial")
    goals = [goal, {**shared.definition, "sent_as": "Subscribe"}]
    factories.config(game, network="reddit", pixel_id="t2_disabled", enabled=False, goals=goals)
    _alerts(troubled, by)
    _erasures(game)
    _campaigns(game)


def add_events(game: Game) -> None:
    """Create events of every kind, rejections, a player with all fields, and conversions of every reason."""
    now, key = timezone.now(), keys.create_key(game=game, name="A key with a rather long name for a game client").key
    key.last_used_at = now
    key.save(update_fields=["last_used_at"])
    for number, kind in enumerate(Kind.values):
        fields = {"game_id": game.pk, "day": now.date(), "message_id": f"{kind}-{LONG}", "kind": kind, "name": LONG}
        fields |= {"event_at": now, "received_at": now - timedelta(seconds=number), "dialect": "rudderstack"}
        Event.objects.create(**fields, user_id=LONG, raw={"name": LONG, "nested": {"deep": [1, 2, 3]}}, key_id=key.pk)
    for hours in range(0, 48, 5):
        sums = {"accepted": 40 + hours, "duplicates": hours % 3, "rejected": hours % 7, "event_ids": []}
        at = now - timedelta(hours=hours)
        Batch.objects.create(game=game, key=key, dialect="immutable", received_at=at, state="done", **sums)
    set_aside = {"attempts": 8, "error": f"ValueError: {LONG}", "set_aside_at": now}
    FailedWork.objects.create(game=game, queue=Queue.FAN_OUT, row=LONG, **set_aside)
    errors = [{"field": f"properties.{LONG}", "code": "INVALID", "message": LONG}]
    refusal = {"raw": {"type": "track", "name": LONG}, "route": "batch", "subjects": [LONG], "errors": errors}
    Rejection.objects.create(game=game, key=key, dialect="immutable", received_at=now, message_id=LONG, **refusal)
    player = _player(game)
    click = factories.touch(player, page_url=f"https://game.example/?{LONG}")
    factories.touch(player, network="google", click_id=LONG, campaign={"utm_campaign": LONG})
    for reason in ("", *Reason.values):
        trigger = "game_launch" if reason == Reason.REPEAT_LAUNCH else "purchase"
        fields = {"trigger": trigger, "reason": reason, "fanned_out_at": now, "value": "1234567.89", "currency": "USD"}
        factories.conversion(player, touch=None if reason == Reason.NO_CLICK else click, **fields)


def add_counts(game: Game) -> None:
    """Create counts of the event catalog with every warning, and a description."""
    key = {"game": game, "day": timezone.now().date(), "test": False, "kind": Kind.TRACK}
    for name, number in (("purchase", 12_345), (LONG, 7), ("Level Up", 3)):
        named = {**key, "name": name, "number": number}
        EventCount.objects.create(**named, last_at=timezone.now())
        SenderCount.objects.create(**named, key_id=0, library=LONG[:64], library_version="1.0.0-beta.1")
        PropertyCount.objects.create(**{**named, "number": 3}, path=LONG[:100], type="text")
        PropertyCount.objects.create(**{**named, "number": 2}, path="value", type="text")
        PropertyCount.objects.create(**named, path="value", type="number")
    ValueProblemCount.objects.create(
        game=game, day=key["day"], test=False, name="purchase", problem="no_currency", number=412
    )
    EventCount.objects.create(**{**key, "kind": Kind.PAGE}, name="", number=5, last_at=timezone.now())
    EventCount.objects.create(**{**key, "kind": "other"}, name="", number=9, last_at=timezone.now())
    required = ["level: number", f"{LONG[:90]}: any"]
    DescribedEvent.objects.create(game=game, name="level_up", description=f"{LONG} {LONG}", required=required)


def _player(game: Game) -> Person:
    now = timezone.now()
    traits = {"email": f"{LONG}@players.example", "biography": LONG * 3}
    player = factories.person(game, anonymous=LONG, user="player-1", traits=traits)
    Device.objects.create(game=game, person=player, device_id=LONG, token=LONG, details={"os": "Android"})
    Group.objects.create(game=game, group_id=LONG, traits={"name": "Guild"}).members.add(player)
    for level in ("full", "none"):
        ConsentDecision.objects.create(
            game_id=game.pk, anonymous_id=LONG, level=level, source="cookie banner", decided_at=now
        )
    return player


def _links(game: Game) -> None:
    """Create a link with clicks, the newest, and an archived one."""
    factories.link(game, name=LONG[:80], slug=f"{game.slug}-archived"[:60], archived_at=timezone.now())
    link = factories.link(
        game,
        name="TikTok, launch trailer",
        slug=f"{game.slug}-launch"[:60],
        destination=f"https://store.steampowered.com/app/480/?{LONG}",
        utm_source="tiktok",
        utm_campaign=LONG,
        consent=LinkConsent.ANONYMOUS,
    )
    for days, clicks in ((0, 12), (1, 1204), (9, 300)):
        at = timezone.now() - timedelta(days=days)
        LinkCount.objects.create(game=game, link=link, day=at.date(), clicks=clicks, last_at=at)


def _keys(game: Game, by: Any) -> None:
    keys.create_key(game=game, name="Payment backend", kind=KeyKind.SECRET, created_by=by)
    rotated = keys.create_key(game=game, name="Website", created_by=by).key
    keys.rotate_key(key=rotated, overlap=timedelta(days=3), rotated_by=by)
    rotated.last_used_at = timezone.now() + timedelta(seconds=1)
    rotated.save(update_fields=["last_used_at"])
    keys.revoke_key(key=keys.create_key(game=game, name="An old build", created_by=by).key)


def _tokens(game: Game, by: Any) -> None:
    """Create tokens of the game in every state, and two of each admin."""
    every = {"role": Role.ADMIN, "scopes": list(Scope), "created_by": by}
    ends = timezone.now() + timedelta(days=30)
    tokens.create_game_token(game=game, name=LONG[:80], **every, expires_at=ends)
    rotated = tokens.create_game_token(game=game, name="Secret manager", **every).token
    tokens.rotate_token(token=rotated, overlap=timedelta(days=3), rotated_by=by)
    for name in ("Leaked", "Old export"):
        tokens.revoke_token(token=tokens.create_game_token(game=game, name=name, **every).token)
    ApiToken.objects.filter(name="Old export").update(revoked_at=None, expires_at=timezone.now())
    for user in User.objects.filter(memberships__game=game, memberships__role=Role.ADMIN):
        own = tokens.create_user_token(user=user, name="Laptop", scopes=[Scope.READ]).token
        tokens.rotate_token(token=own, overlap=timedelta(0))


def _people(game: Game, by: Any) -> None:
    Membership.objects.get_or_create(game=game, user=by, defaults={"role": Role.ADMIN})
    Membership.objects.create(game=game, user=hub.user(f"analyst-of-{game.pk}"), role=Role.VIEWER)
    for number, days in enumerate((7, -1)):
        until = timezone.now() + timedelta(days=days)
        email = f"{LONG[:50]}{number}@studio.example"
        Invitation.objects.create(game=game, email=email, invited_by=by, digest=f"{number}{game.pk}", expires_at=until)


def _log(config: PostbackConfig, by: Any) -> None:
    """Create a delivery in every state with its attempts, replays, and a refused check."""
    now, finished = timezone.now(), {"next_attempt_at": None, "finished_at": timezone.now()}
    done = factories.delivery(config, state="delivered", attempts_made=2, **finished)
    body = {"event": "Purchase", "event_id": str(done.event_id), "user": {"ttclid": "E.C.P.click"}}
    refused = {"status": "retried", "verdict": "transient", "http_status": 503, "message": "Service unavailable"}
    factories.attempt(done, ago=timedelta(minutes=9), payload=body, **refused)
    factories.attempt(done, payload=body, request_id="2026112107", provider_code="0")
    failed = factories.delivery(config, state="failed", verdict="credential", attempts_made=1, **finished)
    outcome = {"status": "failed", "verdict": "credential", "http_status": 200, "provider_code": "40105"}
    factories.attempt(failed, message=REFUSED, payload=body, **outcome)
    factories.delivery(config, state="waiting", next_attempt_at=now + timedelta(minutes=4), attempts_made=1)
    factories.delivery(config, state="skipped", reason=Reason.CONSENT, **finished)
    Replay.objects.create(game=config.game, config=config, total=10_000, queued=1_200, failed_until=now)
    Replay.objects.create(game=config.game, config=config, total=3, queued=3, state="done", finished_at=now)
    check = {"game": config.game, "network": config.network, "config": config, "pixel_id": config.pixel_id}
    outcome = {"triggers": ["purchase"], "requested_by": by, "state": "refused", "message": REFUSED}
    CredentialCheck.objects.create(**check, **outcome, http_status=200, provider_code="40105", finished_at=now)


def _alerts(config: PostbackConfig, by: Any) -> None:
    game, now = config.game, timezone.now()
    hook = AlertHook.objects.create(game=game, url=f"https://chat.example/{LONG}", secret={"key": "k"}, created_by=by)
    failing = {
        "failures": 3,
        "last_result": "It answered 503.",
        "last_result_at": now,
        "dropped": 1_042,
        "dropped_at": now,
    }
    overlap = {(now + timedelta(days=1)).isoformat(): "k"}
    backend = AlertHook.objects.create(
        game=game, url=f"https://{LONG[:60]}.example/", events=HookEvent.values, previous_secrets=overlap, **failing
    )
    AlertHook.objects.create(game=game, url="https://gone.example/", enabled=False, disabled_because=hooks.GONE)
    HookMessage.objects.create(game=game, hook=backend, event="conversion.failed", row=config.pk)
    open_alert = Alert.objects.create(game=game, config=config, health="on_hold", cause=REFUSED, next_step="Rotate it.")
    week_ago = now - timedelta(days=7)
    recovered = {"opened_at": week_ago, "recovered_at": week_ago + timedelta(hours=2), "cause": "HTTP 503 " + LONG}
    Alert.objects.create(game=game, config=config, health="degraded", **recovered)
    Notice.objects.create(game=game, alert=open_alert, kind="opened", hook=hook, attempts_made=2, message="HTTP 500")
    Notice.objects.create(game=game, alert=open_alert, kind="opened", user=by, state="sent", finished_at=now)


def _erasures(game: Game) -> None:
    now, counts = timezone.now(), {"events": 18, "touches": 2, "consent_decisions": 1}
    request = {"game": game, "namespace": "user", "subject_hash": "0" * 64, "requested_by": "admin@studio.example"}
    Erasure.objects.create(**request, subject="player-9")
    Erasure.objects.create(
        **request, state="done", counts=counts, finished_at=now, requested_at=now - timedelta(days=1)
    )


def _campaigns(game: Game) -> None:
    """Figures of an ad with long names in two currencies, and its costs."""
    person = factories.person(game, user="clicking")
    tags = {"utm_campaign": LONG, "utm_term": "broad", "utm_content": "video"}
    touch = factories.touch(person, click_id="of-a-campaign", campaign=tags)
    for currency in ("USD", "JPY"):
        factories.conversion(person, touch=touch, properties={"value": 1200, "currency": currency})
    refresh.refresh()
    launched = factories.conversion(factories.person(game), trigger="game_launch", properties={})
    game.joins = [*game.joins, "modeled"]
    game.save(update_fields=["joins"])
    facts = {"launched_at": launched.event_at, "network": touch.network, "campaign": LONG}
    ModeledMatch.objects.create(game=game, conversion=launched, touch=touch, result="matched", **facts)
    day = timezone.now().date()
    row = AdCost(game=game, day=day, network="tiktok", campaign=LONG, spend=120, currency="USD")
    unmatched = AdCost(game=game, day=day, network="reddit", campaign=f"Unseen {LONG}"[:200], spend=7, currency="USD")
    costs.store(game=game, rows=[row, unmatched], name=f"{LONG}.csv", uploaded_by="colleague@studio.example")
    lines = f"Date,UTM Campaign,UTM Source,Total Visits\n{day},{LONG[:200].replace(',', ' ')},tiktok,12345\n"
    steam = {"name": f"{LONG}.csv", "uploaded_by": "colleague@studio.example"}
    uploads.store_file(game=game, file=files.read_file(lines), **steam)


def newest(game: Game) -> dict[str, Any]:
    """Return the rows for the URLs of tests/browser/pages.py by name; None if the game has none."""
    live = game.api_keys.live().filter(replaced_by=None)
    tiktok = PostbackConfig.objects.kept().filter(game=game, network="tiktok")
    attempts = DeliveryAttempt.objects.filter(delivery__game=game, config__network="tiktok")
    event = Event.objects.filter(game_id=game.pk).order_by("-received_at").first()
    return {
        "attempt": attempts.exclude(payload=None).order_by("-started_at").first(),
        "check": CredentialCheck.objects.filter(game=game, network="tiktok").order_by("-created_at").first(),
        "config": tiktok.order_by("created_at").first(),
        "conversion": Conversion.objects.filter(game=game).order_by("-event_at").first(),
        "event": event,
        "goal": GameGoal.objects.filter(game=game).first(),
        "hook": AlertHook.objects.filter(game=game).first(),
        "invitation": Invitation.objects.pending().filter(game=game).first(),
        "key": live.first(),
        "link": game.tracking_links.filter(archived_at=None).first(),
        "membership": game.memberships.filter(role=Role.VIEWER).first(),
        "person": Person.objects.filter(game=game).order_by("last_seen_at").first(),
        "token": game.api_tokens.live().filter(replaced_by=None).first(),
        "own token": ApiToken.objects.live().filter(user__username="admin", replaced_by=None).first(),
        "rejection": Rejection.objects.filter(game=game).first(),
    }
