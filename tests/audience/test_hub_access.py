"""Access of every role to every Hub page, by GET and POST."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audience.accounts import members, tokens
from audience.games.keys import NewKey
from audience.hub.urls import urlpatterns as audience_urls
from audience.models import (
    ApiKey,
    ApiToken,
    DescribedEvent,
    Erasure,
    Event,
    ExchangeRate,
    Game,
    Invitation,
    Membership,
    Rejection,
    Role,
    Scope,
    Suppression,
    TrackingLink,
)
from postbacks.hub.urls import urlpatterns as postbacks_urls
from postbacks.models import (
    AdCost,
    AlertHook,
    CostUpload,
    CredentialCheck,
    Delivery,
    GameGoal,
    PostbackConfig,
    Replay,
    SteamUpload,
    SteamVisits,
)
from tests import factories, hub
from tests.audience import test_hub_events

READ = {"overview", "events", "conversions", "integrations", "integration", "attempt", "keys", "privacy"}
READ |= {"alerts", "event-counts", "event", "rejection", "people", "person"}
REPLAY = "rejection-replay"
MARKETER = {REPLAY, "postback-add", "postback-edit", "postback-enable", "postback-disable", "postback-delete", "check"}
READ |= {"preview", "replays", "postback-history", "conversion", "conversion-funnel", "conversions-export"}
TRYING = {"goal-row", "dry-run-new", "test-conversion", "replay-start", "request-preview"}
KEEPING = {"postback-recheck", "postback-roll-back", "postback-release"}
MARKETER |= {*KEEPING, "postback-hold", "dry-run", "replay-cancel", "delivery-send-again", *TRYING}
WAITS = {"postback-try-now", "delivery-try-now"}
MARKETER |= WAITS
HOOK_FORMS = {"hook-change", "hook-rotate", "hook-delete"}
HOOKS = {"hook-enable", "hook-disable", "hook-test", *HOOK_FORMS}
MEMBERS = {"member-invite", "member-role", "member-remove", "invitation-resend", "invitation-revoke"}
ADMIN = {*MEMBERS, "key-new", "key-change", "key-rotate", "key-revoke", "erase", "person-erase", "hook-add", *HOOKS}
POST_ONLY = {REPLAY, "person-erase", "postback-enable", "erase", *(HOOKS - HOOK_FORMS)}
POST_ONLY |= {"invitation-resend", "invitation-revoke", "replay-cancel", "delivery-send-again", *KEEPING, *TRYING}
POST_ONLY |= WAITS
POSTED = (MARKETER | ADMIN) - {"check"}
READ |= {"guide"}
ADMIN |= {"guide-key"}
POST_ONLY |= {"guide-key"}
POSTED |= {"guide-key"}
READ |= {"quality"}
ADMIN |= {"audit-log", "audit-log-export", "privacy-person", "privacy-export"}
POST_ONLY |= {"privacy-export"}
POSTED |= {"privacy-export"}
TOKENS = {"token-rotate", "token-revoke"}
ADMIN |= {"tokens", "token-new", *TOKENS}
POSTED |= {"token-new", *TOKENS}
ADMIN |= {"suppression-lift"}
POST_ONLY |= {"suppression-lift"}
POSTED |= {"suppression-lift"}
READ |= {"joins"}
ADMIN |= {"retention", "consent", "ad-clicks", "joins-settings"}
POSTED |= {"retention", "consent", "ad-clicks", "joins-settings"}
ADMIN |= {"set-aside-retry"}
POST_ONLY |= {"set-aside-retry"}
POSTED |= {"set-aside-retry"}
ADMIN |= {"invitation-link"}
POST_ONLY |= {"invitation-link"}
POSTED |= {"invitation-link"}
READ |= {"goals", "comparison", "deliveries", "delivery-log-export"}
GOAL = {"goal-edit", "goal-delete"}
MARKETER |= {*GOAL, "goal-add", "postback-copy"}
POSTED |= {*GOAL, "goal-add"}
READ |= {"campaigns", "campaigns-export", "campaign-players", "campaign-conversions", "cohorts", "costs", "cost-sample"}
READ |= {"steam-numbers", "steam-sample"}
READ |= {"members", "game-settings", "rates-sample", "report-settings"}
READ |= {"cohorts-export", "comparison-export"}
REPORTS = {"cost-upload", "cost-columns", "cost-delete", "steam-upload", "steam-delete"}
MARKETER |= REPORTS
POSTED |= REPORTS
POST_ONLY |= {"cost-upload", "cost-columns", "steam-upload"}
READ |= {"catalog", "catalog-event", "pixel"}
DESCRIBING = {"catalog-describe", "catalog-forget"}
MARKETER |= DESCRIBING
POSTED |= DESCRIBING
POST_ONLY |= {"catalog-forget"}
READ |= {"links", "link", "link-qr"}
LINK_FORMS = {"link-edit", "link-archive"}
LINKS = {"link-add", "link-restore", *LINK_FORMS}
MARKETER |= LINKS
POSTED |= LINKS
POST_ONLY |= {"link-restore"}
SETTINGS = {"settings-general", "settings-reports", "settings-rates", "settings-attribution"}
ADMIN |= {*SETTINGS, "key-rename"}
POSTED |= {*SETTINGS, "key-rename"}
POST_ONLY |= SETTINGS
# A page that moved, and one that needs the name of an event.
REDIRECTS = {"report-settings", "catalog-event"}
# Of no game: tests/postbacks/test_guide.py has who may make one.
OUTSIDE = {"games", "game-new", "imitations"}
# For everybody: tests/audience/test_help.py.
OUTSIDE |= {"help", "help-page", "help-source", "llms", "document"}
# The one thing a viewer changes, and for themselves only: tests/postbacks/test_alerts_page.py.
OWN = {"alert-choice"}
NAMES = sorted(READ | MARKETER | ADMIN)


@pytest.fixture
def addresses(game: Game, key: NewKey) -> dict[str, str]:
    """An address of every Hub page of `game`, with rows behind the ones that name a row."""
    return {name: reverse(name, kwargs=kwargs) for name, kwargs in kwargs_of_pages(game, key.key).items()}


def kwargs_of_pages(game: Game, key: ApiKey) -> dict[str, dict[str, Any]]:
    """Page name -> arguments of its address, with a row of `game` behind each id."""
    config = factories.config(game)
    person = factories.person(game, user="user-1")
    conversion = factories.conversion(person, touch=factories.touch(person))
    check = CredentialCheck.objects.create(game=game, network="tiktok", pixel_id="CABC", triggers=["purchase"])
    delivery = factories.delivery(config, conversion=conversion)
    attempt = factories.attempt(delivery)
    replay = Replay.objects.create(game=game, config=config)
    event, refused = test_hub_events.event(game, 1), test_hub_events.rejection(game, 2)
    on_network = {"slug": game.slug, "network": "tiktok"}
    hook = AlertHook.objects.create(game=game, url="https://chat.example/", secret={"key": "k"})
    invited = members.invite(game=game, email="new@studio.example", role=Role.VIEWER, invited_by=None).invitation
    token = tokens.create_game_token(game=game, name="CI", role=Role.VIEWER, scopes=[Scope.READ]).token
    belongs = Membership.objects.get_or_create(game=game, user=hub.user("somebody"), defaults={"role": Role.VIEWER})[0]
    pages = {
        name: {"slug": game.slug}
        for name in (
            *READ,
            "audit-log",
            "audit-log-export",
            "member-invite",
            "key-new",
            "tokens",
            "token-new",
            "erase",
            "hook-add",
            "guide-key",
            "retention",
            "consent",
            "ad-clicks",
            "joins-settings",
            "set-aside-retry",
            "goal-add",
            "link-add",
            *REPORTS,
            *DESCRIBING,
            *SETTINGS,
        )
    }
    goal = GameGoal.objects.create(game=game, name="VIP", event="vip_reached")
    erasure = Erasure.objects.create(game=game, namespace="user", subject_hash="0" * 64, suppress=True)
    suppression = Suppression.objects.create(game=game, erasure=erasure, hashes=["0" * 64])
    other = {"postback-add", "check", REPLAY, "goal-add", *GOAL, *REPORTS, *DESCRIBING, *LINKS}
    link = factories.link(game)
    rows = {name: {**on_network, "pk": config.pk} for name in MARKETER - other}
    return {
        **pages,
        **rows,
        **dict.fromkeys(("integration", "quality", "preview", "replays", *TRYING), on_network),
        **dict.fromkeys(("comparison", "comparison-export", "deliveries", "delivery-log-export"), on_network),
        "request-preview": {"slug": game.slug, "network": "custom"},
        "postback-history": {**on_network, "pk": config.pk},
        "conversion": {"slug": game.slug, "pk": conversion.pk},
        "replay-cancel": {**on_network, "pk": replay.pk},
        "delivery-send-again": {"slug": game.slug, "pk": delivery.pk},
        "delivery-try-now": {"slug": game.slug, "pk": delivery.pk},
        "postback-add": on_network,
        "check": {**on_network, "pk": check.pk},
        "attempt": {**on_network, "pk": attempt.pk},
        "event": {"slug": game.slug, "day": event.day, "pk": event.pk},
        **{name: {"slug": game.slug, "pk": refused.pk} for name in ("rejection", REPLAY)},
        **{
            name: {"slug": game.slug, "pk": person.pk}
            for name in ("person", "person-erase", "privacy-person", "privacy-export")
        },
        "suppression-lift": {"slug": game.slug, "pk": suppression.pk},
        **{name: {"slug": game.slug, "pk": hook.pk} for name in HOOKS},
        **{name: {"slug": game.slug, "pk": goal.pk} for name in GOAL},
        **{name: {"slug": game.slug, "pk": link.pk} for name in ("link", "link-qr", *LINKS - {"link-add"})},
        **{name: {"slug": game.slug, "pk": belongs.pk} for name in ("member-role", "member-remove")},
        **{
            name: {"slug": game.slug, "pk": invited.pk}
            for name in ("invitation-resend", "invitation-revoke", "invitation-link")
        },
        **{name: {"slug": game.slug, "pk": token.pk} for name in TOKENS},
        "key-change": {"slug": game.slug, "pk": key.pk},
        "key-rename": {"slug": game.slug, "pk": key.pk},
        "key-rotate": {"slug": game.slug, "pk": key.pk},
        "key-revoke": {"slug": game.slug, "pk": key.pk},
    }


STATE: tuple[Any, ...] = (
    AlertHook,
    ApiKey,
    ApiToken,
    CredentialCheck,
    Delivery,
    Erasure,
    Event,
    Invitation,
    Membership,
)
STATE = (*STATE, Rejection, Replay, GameGoal, AdCost, CostUpload, ExchangeRate, Suppression)
STATE = (*STATE, DescribedEvent, TrackingLink, SteamUpload, SteamVisits)


def _state() -> list[Any]:
    """Everything that a refused request must leave alone."""
    rows = [list(model.objects.order_by("pk").values()) for model in STATE]
    configs = PostbackConfig.objects.order_by("pk").values(
        "pk", "pixel_id", "triggers", "enabled", "held_at", "deleted_at"
    )
    return [*rows, list(configs)]


def test_every_page_of_a_game_is_in_this_matrix() -> None:
    assert sorted(url.name for url in [*audience_urls, *postbacks_urls] if url.name not in OUTSIDE) == sorted(
        [*NAMES, *OWN]
    )


def _least(name: str) -> Role:
    return Role.VIEWER if name in READ else Role.MARKETER if name in MARKETER else Role.ADMIN


@pytest.mark.long
@pytest.mark.parametrize("role", list(Role))
def test_each_role_can_open_exactly_its_pages(game: Game, addresses: dict[str, str], role: Role) -> None:
    client, rank = hub.member(game, role), list(Role).index
    for name in set(NAMES) - POST_ONLY:
        allowed = rank(role) >= rank(_least(name))
        assert client.get(addresses[name]).status_code == (403 if not allowed else 302 if name in REDIRECTS else 200), (
            name
        )


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_a_post_beyond_the_role_is_refused_and_changes_nothing(
    game: Game, addresses: dict[str, str], role: Role
) -> None:
    client, rank = hub.member(game, role), list(Role).index
    before = _state()
    for name in [name for name in POSTED if rank(role) < rank(_least(name))]:
        answer = client.post(addresses[name], {"subject": "u", "confirmation": "u", "namespace": "user"})
        assert answer.status_code == 403, name
        assert "An admin of the game can change your role." in answer.content.decode()
    assert _state() == before


def test_a_read_only_page_refuses_post(game: Game, addresses: dict[str, str]) -> None:
    client = hub.member(game, Role.ADMIN)
    assert {name: client.post(addresses[name]).status_code for name in READ | {"check"}} == dict.fromkeys(
        READ | {"check"}, 405
    )


def test_a_member_of_another_game_gets_404_for_every_page(
    game: Game, other_game: Game, addresses: dict[str, str]
) -> None:
    stranger, before = hub.member(other_game, Role.ADMIN), _state()
    for name, url in addresses.items():
        if name not in POST_ONLY:
            assert stranger.get(url).status_code == 404, name
        if name in POSTED:
            assert stranger.post(url).status_code == 404, name
    assert _state() == before


def test_a_stranger_is_sent_to_the_sign_in_page(client: Client, addresses: dict[str, str]) -> None:
    for url in ["/", *(addresses[name] for name in set(NAMES) - POST_ONLY)]:
        answer = client.get(url)
        assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={url}")


def test_an_htmx_request_without_a_session_redirects_the_whole_page_to_sign_in(
    client: Client, addresses: dict[str, str]
) -> None:
    url = addresses["events"]
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{url}?kind=page"}
    assert client.get(url, headers=headers)["HX-Redirect"] == f"/accounts/login/?next={url}%3Fkind%3Dpage"


def test_a_superuser_sees_every_game(game: Game, other_game: Game, addresses: dict[str, str]) -> None:
    client = hub.signed_in(hub.user("root", is_superuser=True, is_staff=True))
    page = client.get("/").content.decode()
    assert game.name in page
    assert other_game.name in page
    assert all(client.get(addresses[name]).status_code == 200 for name in set(NAMES) - POST_ONLY - REDIRECTS)


def test_an_unknown_network_is_not_found(game: Game) -> None:
    client = hub.member(game, Role.ADMIN)
    for page in ("", "add/"):
        assert client.get(f"/g/{game.slug}/integrations/myspace/{page}").status_code == 404


def test_a_viewer_is_shown_no_action_that_changes_something(game: Game, addresses: dict[str, str]) -> None:
    client = hub.member(game, Role.VIEWER)
    files = {"conversions-export", "campaigns-export", "cost-sample", "rates-sample", "delivery-log-export"}
    files |= {"cohorts-export", "comparison-export", "steam-sample"}
    for name in READ - files:
        page = client.get(addresses[name]).content.decode()
        offered = [addresses[other] for other in POSTED if f'"{addresses[other]}"' in page]
        assert offered == [], name


def test_a_user_with_one_game_is_redirected_to_it(game: Game) -> None:
    answer = hub.member(game, Role.VIEWER).get("/")
    assert (answer.status_code, answer["Location"]) == (302, f"/g/{game.slug}/")


@pytest.mark.django_db
def test_a_user_without_a_game_is_told_what_to_do() -> None:
    page = hub.signed_in(hub.user("newcomer")).get("/").content.decode()
    assert "You are not a member of a game yet" in page
