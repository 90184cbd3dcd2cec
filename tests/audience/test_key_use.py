"""Every wire route records the use of a key; the routes are listed, so that a new one is tested."""

import json
from base64 import b64encode
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from audience.games.key_usage import used_since_rotation
from audience.games.keys import NewKey, Restrictions, create_key, revoke_key, rotate_key
from audience.intake.dialects import refusing
from audience.intake.dialects.parcelvoy import ParcelvoyView
from audience.intake.urls import urlpatterns
from audience.models import ApiKey, Dialect, Game, KeyKind
from tests.audience.immutable import DATA, message
from tests.audience.wire import basic, bearer

pytestmark = pytest.mark.django_db

ROUTES = [f"/{entry.pattern}" for entry in urlpatterns if not str(entry.pattern).startswith("^")]
CONSENT = "/v1/audience/tracking-consent?anonymousId=a"


def call(method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
    data = b"" if body is None else json.dumps(body).encode()
    return Client().generic(method, path, data, "application/json", headers=headers)


def calls(route: str, key: NewKey) -> list[HttpResponse]:
    """The answers to good requests with the key, one for each method that the route serves."""
    header = {"x-immutable-publishable-key": key.value}
    if route == "/v1/audience/messages":
        return [call("POST", route, {"messages": [message()]}, **header)]
    if route == "/v1/audience/tracking-consent":
        decision = {"anonymousId": "a", "status": "full", "source": "banner"}
        return [call("GET", CONSENT, **header), call("PUT", route, decision, **header)]
    if route == DATA:
        return [call("DELETE", f"{DATA}?userId=u", **{"x-immutable-api-key": key.value})]
    if route == "/sourceConfig":
        return [call("GET", route, **basic(key.value))]
    if "projects" in route:
        return [call("GET", route.replace("<str:key>", key.value))]
    if route.startswith("/pixel/"):
        return [call("GET", f"{route}?writeKey={key.value}&anonymousId=a&event=e")]
    event = {"messageId": str(uuid4()), "anonymousId": "a", "event": "e", "groupId": "g", "previousId": "p"}
    event |= {"mergeProperties": [{"type": "email", "value": "v"}], "userId": "u"}
    if route.startswith("/v1/pixel/"):
        data = b64encode(json.dumps({**event, "writeKey": key.value}).encode(), altchars=b"-_").decode()
        return [call("GET", f"{route}?data={data}")]
    if issubclass(view_of(route), ParcelvoyView):
        said = {"anonymous_id": "a", "external_id": "u"}
        device = {"device_id": "d", "os": "o", "model": "m", "app_build": "1", "app_version": "1"}
        body: Any = [{"name": "e", "anonymous_id": "a"}] if "events" in route else said
        return [call("POST", route, {**said, **device} if "devices" in route else body, **bearer(key.value))]
    if any(word in route for word in ("batch", "import", "/b")):
        return [call("POST", f"{route}?writeKey={key.value}", {"batch": [{"type": "track", **event}]})]
    return [call("POST", route, event, **basic(key.value))]


def view_of(route: str) -> Any:
    (found,) = (entry.callback for entry in urlpatterns if f"/{entry.pattern}" == route)
    return found.view_class


@pytest.mark.parametrize("route", ROUTES)
def test_a_good_request_is_use_of_its_key(game: Game, route: str) -> None:
    kind = KeyKind.SECRET if route == DATA else KeyKind.PUBLISHABLE
    dialect = Dialect.IMMUTABLE if "audience" in route else Dialect.RUDDERSTACK
    key = create_key(game=game, name="k", kind=kind, dialect=dialect)
    long_ago = timezone.now() - timedelta(days=1)
    for method in range(2 if "consent" in route else 1):
        ApiKey.objects.update(last_used_at=long_ago)
        answer = calls(route, key)[method]

        assert answer.status_code in (200, 202, 204), answer.content
        assert timezone.now() - ApiKey.objects.get().last_used_at < timedelta(seconds=30)


def test_an_old_key_that_only_asks_for_consent_is_seen_before_its_overlap_ends(key: NewKey) -> None:
    rotate_key(key=key.key, overlap=timedelta(hours=1))
    assert not used_since_rotation(ApiKey.objects.get(pk=key.key.pk))
    call("GET", CONSENT, **{"x-immutable-publishable-key": key.value})
    assert used_since_rotation(ApiKey.objects.get(pk=key.key.pk))


def test_a_refused_request_is_use_too_since_somebody_holds_the_key(game: Game) -> None:
    restricted = Restrictions(events=["progression"])
    key = create_key(game=game, name="k", dialect=Dialect.RUDDERSTACK, restrictions=restricted)
    assert call("POST", "/v1/track", {"anonymousId": "a", "event": "e"}, **basic(key.value)).status_code == 400
    assert ApiKey.objects.get().last_used_at is not None


def test_a_revoked_key_is_not_used_any_more(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusing, "EXPIRED_KEY_INTERVAL_SECONDS", 0.0)
    key = create_key(game=game, name="k", dialect=Dialect.RUDDERSTACK)
    revoke_key(key=key.key)
    for route in ROUTES:
        calls(route, key)
    assert ApiKey.objects.get().last_used_at is None


def test_use_is_noted_once_a_minute(key: NewKey) -> None:
    ask = {"x-immutable-publishable-key": key.value}
    call("GET", CONSENT, **ask)
    first = ApiKey.objects.get().last_used_at
    call("GET", CONSENT, **ask)
    assert ApiKey.objects.get().last_used_at == first
