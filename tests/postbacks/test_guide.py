"""The guide from a new game to the first delivery: its steps and code snippets."""

import base64
import html
import json
import re
import shlex
import subprocess
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from audience.digest import queue
from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import ApiKey, Conversion, Dialect, Environment, Event, Game, KeyKind, Membership, Rejection, Role
from postbacks.hub.guide import chosen_network, snippets, steps
from postbacks.hub.guide.snippets import SDKS
from postbacks.networks import NETWORKS
from tests import factories, hub


def code(page: str, name: str) -> str:
    """What a reader copies."""
    found = re.search(rf'<pre id="{name}-code"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def done(game: Game) -> list[bool]:
    return [step.done for step in steps.progress(game)]


def send(client: Client, command: str) -> Any:
    """Do what a curl command says, without the network."""
    words = shlex.split(command)
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H")
    body = words[words.index("-d") + 1]
    return client.post(urlsplit(words[1]).path, body, content_type=headers.pop("Content-Type"), headers=headers)


def test_an_empty_game_has_five_open_steps(game: Game) -> None:
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/").content.decode()
    assert done(game) == [False] * 5
    assert "<strong>0 of 5 done.</strong> Next: Create an API key." in page
    assert page.count('<span class="status">Not yet</span>') == 5
    assert "YOUR_KEY" in code(page, "first")


def test_the_overview_links_to_the_guide_until_every_step_is_done(game: Game, key: NewKey) -> None:
    client = hub.member(game, Role.VIEWER)
    page = client.get(f"/g/{game.slug}/").content.decode()
    assert "Set up: 1 of 5 steps done" in page
    assert f'href="/g/{game.slug}/start/">Continue the guide' in hub.normalized_html(page)
    send(client, code(client.get(f"/g/{game.slug}/start/").content.decode(), "first"))
    queue.drain()
    factories.delivery(factories.config(game), state="delivered")
    assert done(game) == [True] * 5
    assert "/start/" not in client.get(f"/g/{game.slug}/").content.decode()
    finished = client.get(f"/g/{game.slug}/start/").content.decode()
    assert "All five steps are done" in finished
    assert f'href="/g/{game.slug}/conversions/">View conversions' in hub.normalized_html(finished)


def test_the_two_curl_commands_produce_a_conversion(game: Game, key: NewKey) -> None:
    client = hub.member(game, Role.VIEWER)
    page = client.get(f"/g/{game.slug}/start/?sdk=curl").content.decode()
    for name, accepted in (("first", 2), ("purchase", 1)):
        answer = send(client, code(page, name))
        assert answer.json() == {"success": True, "accepted": accepted, "rejected": 0, "rejections": []}
    queue.drain()
    conversion = Conversion.objects.get()
    assert conversion.touch is not None
    assert (conversion.touch.network, conversion.touch.click_id) == ("tiktok", "first-click")
    assert (str(conversion.value), conversion.currency) == ("9.990000", "USD")
    found = {step.key: step for step in steps.progress(game)}
    assert (found["event"].evidence, found["click"].evidence) == (
        "purchase from player-7",
        "A TikTok Ads click, first-clic…",
    )
    assert "Purchase was received, but is not delivered yet." in found["delivery"].problem
    # Pasted twice, it is the same event.
    assert send(client, code(page, "purchase")).json()["accepted"] == 1
    assert Event.objects.filter(game_id=game.pk, name="purchase").count() == 1


def test_the_pixel_snippets_are_events_of_one_player(game: Game, key: NewKey) -> None:
    client = hub.member(game, Role.VIEWER)
    page = client.get(f"/g/{game.slug}/start/?sdk=metarouter").content.decode()
    for name in ("first", "purchase"):
        found = re.search(r'src="([^"]+)"', code(page, name))
        assert found is not None
        parts = urlsplit(found[1])
        sent = json.loads(base64.urlsafe_b64decode(parse_qs(parts.query)["data"][0]))
        assert sent["writeKey"] == key.value
        answer = client.get(f"{parts.path}?{parts.query}")
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/gif")
    queue.drain()
    conversion = Conversion.objects.get()
    assert conversion.touch is not None
    assert conversion.touch.click_id == "first-click"


def test_the_parcelvoy_snippet_sends_what_its_client_sends(game: Game, key: NewKey) -> None:
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/?sdk=parcelvoy").content.decode()
    first, purchase = code(page, "first"), code(page, "purchase")
    assert "urlEndpoint: 'http://127.0.0.1:8000/api'" in first
    # The client sends `event` as name, `properties` as data, its other words in snake case, to <urlEndpoint>/client/….
    headers = {"Authorization": f"Bearer {key.value}"}
    calls: list[tuple[str, Any]] = [
        ("events", [{"name": "landing", "anonymous_id": "browser-7", "data": {"ttclid": "first-click"}}]),
        ("alias", {"anonymous_id": "browser-7", "external_id": "player-7"}),
        ("events", [{"name": "purchase", "external_id": "player-7", "data": {"value": 9.99, "currency": "USD"}}]),
    ]
    for words in ("event: 'landing'", "anonymousId: 'browser-7'", "ttclid: 'first-click'", "externalId: 'player-7'"):
        assert words in first
    assert "event: 'purchase'" in purchase
    for path, body in calls:
        answer = Client().post(f"/api/client/{path}", body, content_type="application/json", headers=headers)
        assert answer.status_code == 204
    queue.drain()
    assert Conversion.objects.get().touch is not None


@pytest.mark.django_db(transaction=True)
def test_the_python_snippet_runs_against_a_server(game: Game, key: NewKey, live_server: Any, settings: Any) -> None:
    settings.PUBLIC_URL = live_server.url
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/?sdk=segment-python").content.decode()
    script = f"{code(page, 'first')}\n{code(page, 'purchase')}\nclient.shutdown()"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    queue.drain()
    conversion = Conversion.objects.get()
    assert conversion.touch is not None
    assert (conversion.trigger, conversion.touch.click_id) == ("purchase", "first-click")


@pytest.mark.parametrize("sdk", list(SDKS))
def test_each_snippet_contains_the_games_key_and_the_servers_url(game: Game, key: NewKey, sdk: str) -> None:
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/?sdk={sdk}").content.decode()
    first = code(page, "first")
    assert "http://127.0.0.1:8000" in first
    assert key.value in first or sdk == "metarouter"
    assert code(page, "purchase")
    assert f'aria-current="true">{SDKS[sdk].label}</a>' in page
    assert hub.inline_code(page) == []


def test_an_unknown_sdk_falls_back_to_curl(game: Game) -> None:
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/?sdk=cobol").content.decode()
    assert code(page, "first").startswith("curl 'http://127.0.0.1:8000/v1/audience/messages'")


def test_the_snippets_click_parameter_is_that_of_the_network_with_a_postback(game: Game) -> None:
    factories.config(game, network="reddit")
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/").content.decode()
    assert code(page, "landing") == "https://your-game.example/?rdt_cid=first-click"


def test_the_snippets_key_is_live_publishable_and_of_the_sdks_dialect(game: Game, key: NewKey) -> None:
    create_key(game=game, name="backend", kind=KeyKind.SECRET)
    create_key(game=game, name="staging", environment=Environment.SANDBOX, dialect=Dialect.RUDDERSTACK)
    router = create_key(game=game, name="router", dialect=Dialect.METAROUTER)
    revoked = create_key(game=game, name="old", dialect=Dialect.PARCELVOY)
    revoke_key(key=revoked.key)
    assert steps.newest_key(game, Dialect.METAROUTER) == router.key
    assert steps.newest_key(game, Dialect.IMMUTABLE) == key.key
    # None of that dialect that makes real events: the newest of the others.
    assert steps.newest_key(game, Dialect.RUDDERSTACK) == router.key
    assert steps.newest_key(game, Dialect.PARCELVOY) == router.key


def test_an_admin_creates_exactly_one_first_key_on_the_guide(game: Game) -> None:
    client = hub.member(game, Role.ADMIN)
    assert "Create a publishable key" in client.get(f"/g/{game.slug}/start/").content.decode()
    for _ in range(2):
        answer = client.post(f"/g/{game.slug}/start/key/")
        assert (answer.status_code, answer["Location"]) == (302, f"/g/{game.slug}/start/")
    made = ApiKey.objects.get()
    assert (made.kind, made.environment, made.name) == ("publishable", "production", "First key")
    page = client.get(f"/g/{game.slug}/start/").content.decode()
    assert made.value in code(page, "first")
    assert "Create a publishable key" not in page


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_members_other_than_admins_are_not_offered_a_key_on_the_guide(game: Game, role: Role) -> None:
    client = hub.member(game, role)
    page = client.get(f"/g/{game.slug}/start/").content.decode()
    assert "An admin of the game can create one on this page." in page
    assert client.post(f"/g/{game.slug}/start/key/").status_code == 403
    assert not ApiKey.objects.exists()


def test_the_guides_polling_announces_a_step_only_when_it_is_new(game: Game, key: NewKey) -> None:
    client = hub.member(game, Role.VIEWER)
    htmx = {"HX-Request": "true"}
    quiet = client.get(f"/g/{game.slug}/start/?sdk=curl&done=1", headers=htmx).content.decode()
    assert 'role="status"' not in quiet
    assert "<html" not in quiet
    send(client, code(client.get(f"/g/{game.slug}/start/").content.decode(), "first"))
    news = client.get(f"/g/{game.slug}/start/?sdk=curl&done=1", headers=htmx).content.decode()
    assert 'id="progress" role="status" hx-swap-oob="true"' in news
    assert "<strong>2 of 5 done.</strong> Next: Capture an ad click." in news
    assert 'id="seen-event" hx-swap-oob="true"><span class="status good">Done</span><span>' in hub.normalized_html(news)
    assert f'hx-get="/g/{game.slug}/start/?sdk=curl&amp;done=2&amp;network=tiktok"' in news


def test_the_event_step_shows_why_the_first_message_was_rejected(game: Game, key: NewKey) -> None:
    client = hub.member(game, Role.VIEWER)
    body = {"messages": [{"type": "track", "messageId": "42", "userId": "u", "eventName": "purchase"}]}
    headers = {"x-immutable-publishable-key": key.value}
    assert (
        client.post("/v1/audience/messages", body, content_type="application/json", headers=headers).json()["rejected"]
        == 1
    )
    step = steps.progress(game)[1]
    assert (step.done, step.href) == (False, f"/g/{game.slug}/events/?status=rejected")
    assert step.problem.startswith("A message was rejected: ")
    assert Rejection.objects.get().errors[0]["message"] in step.problem


def test_a_viewer_sees_masked_addresses_on_the_guide(game: Game, key: NewKey) -> None:
    body = {
        "messages": [
            {
                "type": "page",
                "messageId": "6f1c2f0e-3a52-4d9b-9d0b-6a3c1d1f0a77",
                "eventTimestamp": "2026-11-21T00:00:00Z",
                "userId": "ada@players.example",
                "context": {"library": "test", "libraryVersion": "1"},
            }
        ]
    }
    headers = {"x-immutable-publishable-key": key.value}
    Client().post("/v1/audience/messages", body, content_type="application/json", headers=headers)
    told = {
        role: hub.member(game, role).get(f"/g/{game.slug}/start/").content.decode()
        for role in (Role.VIEWER, Role.MARKETER)
    }
    assert "page from a…@players.example" in told[Role.VIEWER]
    assert "ada@players.example" not in told[Role.VIEWER]
    assert "page from ada@players.example" in told[Role.MARKETER]


def test_a_user_who_is_not_a_member_cannot_open_the_guide(game: Game, other_game: Game) -> None:
    stranger = hub.member(other_game, Role.ADMIN)
    assert stranger.get(f"/g/{game.slug}/start/").status_code == 404
    assert stranger.post(f"/g/{game.slug}/start/key/").status_code == 404
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("standing", ["is_staff", "is_superuser"])
def test_staff_create_a_game_and_are_redirected_to_its_guide(standing: str) -> None:
    user = hub.user("founder", **{standing: True})
    client = hub.signed_in(user)
    assert 'href="/games/new/">Create a game' in client.get("/").content.decode()
    answer = client.post("/games/new/", {"name": "Night Racer: Zürich!", "slug": ""})
    assert (answer.status_code, answer["Location"]) == (302, "/g/night-racer-zurich/start/")
    membership = Membership.objects.get()
    assert (membership.game.name, membership.user, membership.role) == ("Night Racer: Zürich!", user, Role.ADMIN)
    assert client.get(answer["Location"]).status_code == 200


def test_a_new_game_needs_a_unique_slug(game: Game) -> None:
    client = hub.signed_in(hub.user("founder", is_staff=True))
    for name, slug, says in (
        ("Other", game.slug, "Another game has this URL name."),
        ("SKY raiders", "", "Another game has this URL name."),
        ("東京", "", "Enter a URL name with letters or digits."),
        ("", "fine", "This field is required."),
    ):
        answer = client.post("/games/new/", {"name": name, "slug": slug})
        assert answer.status_code == 200
        assert says in answer.content.decode()
    assert list(Game.objects.all()) == [game]
    assert not Membership.objects.exists()


def test_users_who_are_not_staff_cannot_create_a_game(game: Game) -> None:
    client = hub.member(game, Role.ADMIN)
    assert client.get("/games/new/").status_code == 403
    assert client.post("/games/new/", {"name": "Mine", "slug": "mine"}).status_code == 403
    assert list(Game.objects.all()) == [game]
    assert Client().get("/games/new/")["Location"] == "/accounts/login/?next=/games/new/"


def test_every_snippet_renders_completely(db: None) -> None:
    for sdk in SDKS.values():
        found = snippets.render_snippets(sdk, key=None, click_param="ttclid")
        assert "{" not in found.landing
        assert all(text and "{{" not in text and "{%" not in text for text in (found.first, found.purchase))


def test_a_snippet_without_a_click_parameter_has_no_click(db: None) -> None:
    for sdk in SDKS.values():
        found = snippets.render_snippets(sdk, key=None, click_param="")
        assert found.landing == snippets.LANDING_URL
        assert snippets.CLICK_ID not in found.first


# The chosen network -----------------------------------------------------------------------------------------------


def chosen_steps(game: Game, kind: str) -> dict[str, steps.GuideStep]:
    return {step.key: step for step in steps.progress(game, chosen=chosen_network.chosen(game, kind))}


@pytest.mark.parametrize("kind", [kind for kind in NETWORKS if NETWORKS[kind].click_param])
def test_the_steps_with_code_are_about_the_chosen_network(game: Game, key: NewKey, kind: str) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/start/?network={kind}").content.decode()
    label, parameter = NETWORKS[kind].label, NETWORKS[kind].click_param
    assert f"Steps 2, 3 and 5 are about {label}." in page
    assert code(page, "landing") == f"https://your-game.example/?{parameter}=first-click"
    assert f"?{parameter}=first-click" in code(page, "first")
    assert f'class="button primary" href="/g/{game.slug}/integrations/{kind}/add/"' in page
    others = set(NETWORKS) - {kind}
    assert all(f'class="button" href="/g/{game.slug}/integrations/{other}/add/"' in page for other in others)


def test_the_session_keeps_the_chosen_network_of_each_game(game: Game, other_game: Game) -> None:
    client = hub.member(game, Role.VIEWER)
    client.get(f"/g/{game.slug}/start/?network=reddit")
    page = client.get(f"/g/{game.slug}/start/").content.decode()
    assert "about Reddit Ads" in page
    assert re.search(r'id="network-reddit"[^>]*aria-current="true"', page)
    client.get(f"/g/{game.slug}/start/?network=myspace")
    client.get(f"/g/{game.slug}/start/?network=x&done=0", headers={"HX-Request": "true"})
    assert "about Reddit Ads" in client.get(f"/g/{game.slug}/start/").content.decode()
    stranger = hub.member(other_game, Role.VIEWER)
    assert "about TikTok Ads" in stranger.get(f"/g/{other_game.slug}/start/").content.decode()


def test_the_guide_is_about_the_network_of_the_newest_postback_by_default(game: Game) -> None:
    factories.config(game, network="reddit")
    factories.config(game, network="x")
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/start/").content.decode()
    assert "about X Ads" in page


def test_another_network_is_told_what_to_run_again(game: Game, key: NewKey) -> None:
    client = hub.member(game, Role.VIEWER)
    for name in ("first", "purchase"):
        send(client, code(client.get(f"/g/{game.slug}/start/").content.decode(), name))
    queue.drain()
    factories.delivery(factories.config(game), conversion=Conversion.objects.get(), state="delivered")
    assert [step.done for step in chosen_steps(game, "tiktok").values()] == [True] * 5

    reddit = chosen_steps(game, "reddit")
    assert [step.done for step in reddit.values()] == [True, True, False, False, False]
    assert reddit["event"].again == "Run this again for Reddit Ads. Its code now includes such a click."
    assert reddit["click"].problem == "The newest click is from TikTok Ads. Run step 2 again for Reddit Ads."
    assert reddit["postback"].problem == "The newest one is for TikTok Ads."
    assert reddit["delivery"].problem == (
        "Purchase was received, but it followed a click from TikTok Ads. Run step 2 again for Reddit Ads, then this "
        "step."
    )
    page = client.get(f"/g/{game.slug}/start/?network=reddit").content.decode()
    assert reddit["event"].again in page
    assert page.count("See why") == 1

    time.sleep(1.1)  # the code has whole seconds
    send(client, code(client.get(f"/g/{game.slug}/start/").content.decode(), "first"))
    queue.drain()
    reddit = chosen_steps(game, "reddit")
    assert (reddit["event"].again, reddit["click"].evidence) == ("", "A Reddit Ads click, first-clic…")
    send(client, code(client.get(f"/g/{game.slug}/start/").content.decode(), "purchase"))
    queue.drain()
    newest = Conversion.objects.order_by("-event_at")[0]
    assert newest.touch is not None
    assert newest.touch.network == "reddit"
    factories.delivery(factories.config(game, network="reddit"), conversion=newest, state="delivered")
    assert [step.done for step in chosen_steps(game, "reddit").values()] == [True] * 5


def test_the_custom_url_takes_the_click_parameter_that_its_postback_names(game: Game) -> None:
    client, url = hub.member(game, Role.MARKETER), f"/g/{game.slug}/start/?network=custom"
    page = client.get(url).content.decode()
    assert "Custom URL has no click parameter until you enter one in its postback" in page
    assert code(page, "landing") == "https://your-game.example/"
    factories.config(game, network="custom")
    page = client.get(url).content.decode()
    assert code(page, "landing") == "https://your-game.example/?irclickid=first-click"
    factories.touch(factories.person(game), network="other", parameter="irclickid")
    assert chosen_steps(game, "custom")["click"].done
    assert not chosen_steps(game, "tiktok")["click"].done


def test_the_overview_counts_the_steps_of_the_chosen_network_until_the_first_delivery(game: Game, key: NewKey) -> None:
    factories.touch(factories.person(game), network="tiktok")
    client = hub.member(game, Role.VIEWER)
    client.get(f"/g/{game.slug}/start/?network=reddit")
    assert "Set up: 1 of 5 steps done" in client.get(f"/g/{game.slug}/").content.decode()
    client.get(f"/g/{game.slug}/start/?network=tiktok")
    assert "Set up: 2 of 5 steps done" in client.get(f"/g/{game.slug}/").content.decode()
