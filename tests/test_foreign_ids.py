"""On every page, the id of a row of another game is not found under one's own game."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, reverse

from audience.games.keys import NewKey
from audience.hub.urls import urlpatterns as audience_urls
from audience.models import Game, Membership, Role
from postbacks.hub.urls import urlpatterns as postbacks_urls
from tests import hub
from tests.audience.test_hub_access import kwargs_of_pages

# Documents are the same in every game.
GAME_WIDE = {"slug", "network", "name"}
# A rejection that a replay has accepted is gone, so its button leads back to the list instead of to an error.
LEADS_BACK = {"rejection-replay"}
SUPERUSERS_ONLY = {"invitation-link"}


def takes_an_id(url: URLPattern) -> bool:
    return bool(set(url.pattern.converters) - GAME_WIDE)


WITH_ID = sorted(str(url.name) for url in [*audience_urls, *postbacks_urls] if takes_an_id(url))


@pytest.fixture
def rows(game: Game, key: NewKey) -> dict[str, dict[str, Any]]:
    """Page name -> arguments of its address, with a row of `game` behind each id."""
    return {name: kwargs for name, kwargs in kwargs_of_pages(game, key.key).items() if name in WITH_ID}


@pytest.fixture
def stranger(other_game: Game) -> Client:
    return hub.member(other_game, Role.ADMIN)


@pytest.fixture
def superuser(db: None) -> Client:
    return hub.signed_in(hub.user("root", is_superuser=True))


def everything() -> dict[str, list[Any]]:
    models = [*apps.get_app_config("audience").get_models(), *apps.get_app_config("postbacks").get_models()]
    models.append(apps.get_model("auditlog.LogEntry"))
    return {model._meta.label: list(model.objects.order_by("pk").values()) for model in models}


def test_every_page_whose_address_has_an_id_is_walked(rows: dict[str, dict[str, Any]]) -> None:
    assert sorted(rows) == WITH_ID


def test_each_id_is_found_in_its_own_game(game: Game, superuser: Client, rows: dict[str, dict[str, Any]]) -> None:
    admin = hub.member(game, Role.ADMIN)
    for name, kwargs in rows.items():
        client = superuser if name in SUPERUSERS_ONLY else admin
        for ask in (client.get, client.post):
            with transaction.atomic():
                assert ask(reverse(name, kwargs=kwargs)).status_code in {200, 302, 405}, name
                transaction.set_rollback(True)


def test_an_id_of_another_game_is_not_found_and_nothing_changes(
    other_game: Game, stranger: Client, superuser: Client, rows: dict[str, dict[str, Any]]
) -> None:
    before = everything()
    for name, kwargs in rows.items():
        client = superuser if name in SUPERUSERS_ONLY else stranger
        url = reverse(name, kwargs={**kwargs, "slug": other_game.slug})
        codes = {client.get(url).status_code, client.post(url).status_code}
        assert codes - {405} == ({302} if name in LEADS_BACK else {404}), name
    assert everything() == before


# (page, field): ids that a page takes in its query string or its form.
IN_QUERY = [("preview", "conversion"), ("preview", "config"), ("replays", "config"), ("postback-add", "check")]
IN_QUERY += [("postback-add", "copy")]
IN_QUERY += [("events", "key"), ("people", "before"), ("audit-log", "actor")]
IN_FORM = [("replay-start", "config"), ("test-conversion", "config")]


def answer_without(query: str, response: Any) -> tuple[int, str]:
    """(status, page), without `query` and the tokens of the request."""
    if response.status_code == 302:
        response = response.client.get(response["Location"])
    text = response.content.decode().replace(query, "")
    name, _, value = query.partition("=")
    text = text.replace(f'name="{name}" value="{value}"', "")
    return response.status_code, re.sub(
        r"csrfmiddlewaretoken\W+value=\W[^\"]+|\"X-CSRFToken\": \"[^\"]+|nonce-[^\"]+", "", text
    )


@pytest.mark.parametrize(("name", "field"), [*IN_QUERY, *IN_FORM])
def test_an_id_of_another_game_in_a_query_or_form_is_answered_like_an_unknown_one(
    game: Game, other_game: Game, key: NewKey, stranger: Client, name: str, field: str
) -> None:
    kwargs = kwargs_of_pages(game, key.key)
    row = {"key": key.key.pk, "check": kwargs["check"]["pk"], "config": kwargs["postback-edit"]["pk"]}
    row["copy"] = row["config"]
    row |= {"conversion": kwargs["conversion"]["pk"], "before": kwargs["person"]["pk"]}
    row |= {"actor": Membership.objects.get(pk=kwargs["member-role"]["pk"]).user_id}
    url = reverse(name, kwargs={**kwargs[name], "slug": other_game.slug})
    before = everything()
    answers = []
    for value in (str(row[field]), str(uuid4()) if isinstance(row[field], UUID) else str(10**9)):
        fields = {field: value, "trigger": "purchase", "test_code": "T", "verdict": ""}
        ask = stranger.post if (name, field) in IN_FORM else stranger.get
        answers.append(answer_without(f"{field}={value}", ask(url, fields)))

    assert answers[0] == answers[1]
    assert everything() == before
