"""Webhooks as Standard Webhooks: signatures that its own library verifies, rotated secrets, events, 410."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from audience.models import Game, Role
from postbacks.models import AlertHook, HookMessage, Notice, PostbackConfig
from postbacks.monitoring.alerts import hook_secrets, hooks, notices
from postbacks.monitoring.alerts.watch import watch
from tests import hub
from tests.postbacks.receiver import Answer, Receiver, receiving
from tests.postbacks.test_alerts import heal, hold
from tests.postbacks.test_notices import earlier_hook, later

EARLIER_HEADERS = {"afterclick-event", "afterclick-id", "afterclick-signature"}
STANDARD_HEADERS = {"webhook-id", "webhook-timestamp", "webhook-signature"}


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.ALERT_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    with receiving() as running:
        yield running


def add(game: Game, receiver: Receiver, *events: str) -> tuple[AlertHook, str]:
    given = {"events": events} if events else {}
    return hooks.add_hook(game=game, url=receiver.url, created_by=None, **given)


def send_test(hook: AlertHook) -> Notice:
    notice = hooks.request_test(hook=hook)
    assert notices.deliver_notices() == 1
    notice.refresh_from_db()
    return notice


def test_a_message_is_verified_by_a_ready_made_library(config: PostbackConfig, receiver: Receiver) -> None:
    _, secret = add(config.game, receiver)
    hold(config)
    watch()
    assert notices.deliver_notices() == 1
    (message,), (received,) = receiver.messages(secret), receiver.received
    notice = Notice.objects.get()
    assert (message["type"], message["timestamp"]) == ("alert.opened", notice.created_at.isoformat())
    assert message["data"]["alert"]["health"] == "on_hold"
    assert message["data"]["postback"]["id"] == str(config.pk)
    assert message["text"] == message["data"]["text"]
    assert received.id == str(notice.pk)
    assert abs(int(received.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert received.headers["content-type"] == "application/json"
    assert EARLIER_HEADERS & set(received.headers) == set()


def test_a_changed_body_id_or_time_is_not_verified(game: Game, receiver: Receiver) -> None:
    hook, secret = add(game, receiver)
    send_test(hook)
    (received,) = receiver.received
    received.verify(secret)
    other_secret = hook_secrets.new_secret()
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        received.verify(other_secret)
    for name, value in (("webhook-id", "another"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")):
        changed = type(received)({**received.headers, name: value}, received.body)
        with pytest.raises(WebhookVerificationError):
            changed.verify(secret)
    with pytest.raises(WebhookVerificationError):
        type(received)(received.headers, received.body + b" ").verify(secret)


def test_a_secret_has_the_form_of_the_standard() -> None:
    secret = hook_secrets.new_secret()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert hook_secrets.is_standard(secret)
    sizes = {size: "whsec_" + base64.b64encode(bytes(size)).decode() for size in (23, 24, 64, 65)}
    assert [size for size, text in sizes.items() if hook_secrets.is_standard(text)] == [24, 64]
    assert not hook_secrets.is_standard(secret.removeprefix("whsec_"))
    assert not hook_secrets.is_standard("whsec_Zk3-uQ_9vY1bT7xO0sLm2Rw5Ea8Hc4Jd6Nf-Pg_Ii0k")


def test_the_signature_is_that_of_the_documents_example() -> None:
    """The key, id, time and body of the vectors that the libraries of the standard share."""
    found = hook_secrets.headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        event="test",
        body=b'{"test": 2432232314}',
        timestamp=1614265330,
    )
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_of_an_earlier_version_has_both_kinds_of_headers(game: Game, receiver: Receiver) -> None:
    hook, secret = earlier_hook(game, receiver.url)
    send_test(hook)
    (received,) = receiver.received
    assert set(received.headers) >= EARLIER_HEADERS | STANDARD_HEADERS
    assert received.headers["afterclick-id"] == received.headers["webhook-id"]
    # Its secret in the alphabet that libraries read.
    received.verify(secret.replace("-", "+").replace("_", "/").replace("whsec/", "whsec_") + "=")


def test_a_rotated_secret_of_an_earlier_version_signs_as_before_until_the_overlap_ends(
    game: Game, receiver: Receiver
) -> None:
    hook, earlier = earlier_hook(game, receiver.url)
    secret = hooks.rotate_secret(hook=hook, overlap=timedelta(hours=1))
    send_test(hook)
    (received,) = receiver.received
    received.verify(secret)
    at, v1 = received.headers["afterclick-signature"].removeprefix("t=").split(",v1=")
    assert (
        v1
        == hook_secrets.headers([earlier], message_id="any", event="test", body=received.body, timestamp=int(at))[
            "Afterclick-Signature"
        ].rpartition("=")[2]
    )
    with time_machine.travel(timezone.now() + timedelta(hours=1, minutes=1)):
        send_test(hook)
        assert receiver.received[1].verify(secret)["type"] == "test"
    assert EARLIER_HEADERS & set(receiver.received[1].headers) == set()


def test_during_an_overlap_both_secrets_verify_and_then_the_new_one_alone(game: Game, receiver: Receiver) -> None:
    hook, old = add(game, receiver)
    new = hooks.rotate_secret(hook=hook, overlap=timedelta(hours=1))
    assert new != old
    send_test(hook)
    (received,) = receiver.received
    assert received.verify(old) == received.verify(new)
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=1)):
        send_test(hook)
        receiver.received[1].verify(new)
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            receiver.received[1].verify(old)


def test_without_an_overlap_no_earlier_secret_signs(game: Game, receiver: Receiver) -> None:
    hook, first = add(game, receiver)
    second = hooks.rotate_secret(hook=hook, overlap=timedelta(days=7))
    third = hooks.rotate_secret(hook=hook, overlap=timedelta(0))
    send_test(hook)
    receiver.received[0].verify(third)
    for ended in (first, second):
        with pytest.raises(WebhookVerificationError):
            receiver.received[0].verify(ended)
    assert AlertHook.objects.get().previous_secrets == {}


def test_a_second_rotation_within_the_overlap_of_the_first_keeps_both_ends(game: Game, receiver: Receiver) -> None:
    hook, first = add(game, receiver)
    second = hooks.rotate_secret(hook=hook, overlap=timedelta(hours=1))
    third = hooks.rotate_secret(hook=hook, overlap=timedelta(hours=2))
    send_test(hook)
    assert [receiver.received[0].verify(secret)["type"] for secret in (first, second, third)] == ["test"] * 3
    with time_machine.travel(timezone.now() + timedelta(minutes=90)):
        send_test(hook)
        receiver.received[1].verify(second)
        with pytest.raises(WebhookVerificationError):
            receiver.received[1].verify(first)


def test_at_most_three_earlier_secrets_sign(game: Game) -> None:
    hook, _ = hooks.add_hook(game=game, url="https://chat.example/", created_by=None)
    for hours in range(1, 7):
        hooks.rotate_secret(hook=hook, overlap=timedelta(hours=hours))
    hook.refresh_from_db()
    assert len(hook.previous_secrets) == 3
    assert len(hook_secrets.valid_secrets(hook, timezone.now())) == 4


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_an_overlap_is_at_most_seven_days(game: Game, overlap: timedelta) -> None:
    hook, secret = hooks.add_hook(game=game, url="https://chat.example/", created_by=None)
    with pytest.raises(ValueError, match="0 to 7 days"):
        hooks.rotate_secret(hook=hook, overlap=overlap)
    hook.refresh_from_db()
    assert (hook.secret, hook.previous_secrets) == ({"key": secret}, {})


def test_a_rotation_is_one_entry_of_the_audit_log_without_the_secret(game: Game) -> None:
    hook, old = hooks.add_hook(game=game, url="https://chat.example/path", created_by=None)
    before = LogEntry.objects.count()
    new = hooks.rotate_secret(hook=hook, overlap=timedelta(hours=1))
    (entry,) = LogEntry.objects.order_by("pk")[before:]
    assert set(entry.changes) == {"secret", "previous_secret_until"}
    assert entry.changes["secret"] == ["None", "rotated"]
    assert not any(secret in json.dumps(list(LogEntry.objects.values("changes"))) for secret in (old, new))
    page = hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "Earlier secret signs until" in page


def test_a_secret_that_cannot_be_decrypted_sends_nothing_and_can_be_rotated(
    game: Game, receiver: Receiver, settings: Any
) -> None:
    hook, _ = add(game, receiver)
    settings.CREDENTIAL_KEYS = ["QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="]
    hook = AlertHook.objects.get()
    notice = send_test(hook)
    assert notice.message == "The secret of the webhook cannot be read. Rotate it."
    assert receiver.received == []
    secret = hooks.rotate_secret(hook=hook, overlap=timedelta(days=1))
    send_test(hook)
    receiver.messages(secret)


# Events ----------------------------------------------------------------------------------------------------------


def test_a_new_webhook_is_subscribed_to_alerts(game: Game) -> None:
    hook, _ = hooks.add_hook(game=game, url="https://chat.example/", created_by=None)
    assert hook.events == ["alert.opened", "alert.recovered"]


@pytest.mark.parametrize(
    ("events", "why"),
    [([], "Select at least one event."), (["alert.opened", "alert.closed"], "There is no event “alert.closed”.")],
)
def test_unknown_events_and_none_are_refused(game: Game, events: list[str], why: str) -> None:
    with pytest.raises(hooks.HookRefused, match=why) as refused:
        hooks.add_hook(game=game, url="https://chat.example/", created_by=None, events=events)
    assert refused.value.field == "events"
    assert not AlertHook.objects.exists()
    hook, _ = hooks.add_hook(game=game, url="https://chat.example/", created_by=None)
    with pytest.raises(hooks.HookRefused, match=why):
        hooks.change_events(hook=hook, events=events)
    assert AlertHook.objects.get().events == ["alert.opened", "alert.recovered"]


def test_a_webhook_gets_the_alerts_that_it_is_subscribed_to(config: PostbackConfig, receiver: Receiver) -> None:
    _, secret = add(config.game, receiver, "alert.recovered")
    now = timezone.now()
    hold(config)
    watch(now=now)
    assert notices.deliver_notices() == 0
    heal(config)
    watch(now=now + timedelta(minutes=1))
    watch(now=now + timedelta(minutes=3))
    later(minutes=3)
    notices.deliver_notices()
    assert [message["type"] for message in receiver.messages(secret)] == ["alert.recovered"]


def test_a_waiting_message_is_not_sent_after_its_event_was_deselected(
    config: PostbackConfig, receiver: Receiver
) -> None:
    hook, _ = add(config.game, receiver, "alert.opened", "conversion.failed", "erasure.completed")
    hold(config)
    watch()
    for event in ("conversion.failed", "erasure.completed"):
        HookMessage.objects.create(game=config.game, hook=hook, event=event, row=config.pk)
    hooks.change_events(hook=hook, events=["erasure.completed"])
    notices.deliver_notices()
    assert receiver.received == []
    assert Notice.objects.get().message == "The webhook is no longer subscribed to this event."
    assert [message.event for message in HookMessage.objects.all()] == ["erasure.completed"]
    entry = LogEntry.objects.latest("pk")
    assert set(entry.changes) == {"events"}


# 410 -------------------------------------------------------------------------------------------------------------


def test_a_410_disables_the_webhook_and_the_page_says_why(game: Game, receiver: Receiver) -> None:
    hook, secret = add(game, receiver)
    receiver.answers.append(Answer(410))
    before = LogEntry.objects.count()
    notice = send_test(hook)
    assert (notice.state, notice.message) == (
        "failed",
        "It answered 410 Gone, which asks for no further messages. The webhook was disabled.",
    )
    hook.refresh_from_db()
    assert (hook.enabled, hook.disabled_because) == (False, hooks.GONE)
    (entry,) = LogEntry.objects.order_by("pk")[before:]
    assert entry.changes["enabled"] == ["True", "False"]
    assert (entry.actor, entry.changes["disabled_because"][1]) == (None, hooks.GONE)
    admin = hub.member(game, Role.ADMIN)
    page = admin.get(f"/g/{game.slug}/alerts/").content.decode()
    assert "The receiver answered 410 Gone, which asks for no further messages. Enable it once" in page

    admin.post(f"/g/{game.slug}/alerts/hooks/{hook.pk}/enable/")
    hook.refresh_from_db()
    assert (hook.enabled, hook.disabled_because) == (True, "")
    send_test(hook)
    receiver.received[1].verify(secret)


def test_an_alert_to_a_webhook_that_is_gone_is_not_retried(config: PostbackConfig, receiver: Receiver) -> None:
    add(config.game, receiver)
    receiver.otherwise = Answer(410)
    hold(config)
    watch()
    assert [notices.deliver_notices() for _ in range(2)] == [1, 0]
    assert Notice.objects.get().state == "failed"


# The pages -------------------------------------------------------------------------------------------------------


def test_the_events_of_a_webhook_are_chosen_listed_and_changed(game: Game) -> None:
    admin, url = hub.member(game, Role.ADMIN), f"/g/{game.slug}/alerts/"
    form = admin.get(f"{url}hooks/add/").content.decode()
    assert "Conversion not sent: a postback did not send a conversion of its ad clicks" in form
    assert form.count(" checked") == 2
    refused = admin.post(f"{url}hooks/add/", {"url": "https://chat.example/"}).content.decode()
    assert "Select at least one event." in refused
    assert not AlertHook.objects.exists()
    admin.post(f"{url}hooks/add/", {"url": "https://chat.example/", "events": ["erasure.failed", "alert.opened"]})
    hook = AlertHook.objects.get()
    assert hook.events == ["alert.opened", "erasure.failed"]
    assert "Alert opened, Erasure failed" in admin.get(url).content.decode()

    change = f"{url}hooks/{hook.pk}/change/"
    assert admin.get(change).content.decode().count(" checked") == 2
    admin.post(change, {"events": ["conversion.delivered"]})
    hook.refresh_from_db()
    assert hook.events == ["conversion.delivered"]
    assert "Select at least one event." in admin.post(change, {}).content.decode()
    hook.refresh_from_db()
    assert hook.events == ["conversion.delivered"]


def test_the_page_of_a_rotation_shows_the_new_secret_once(game: Game) -> None:
    hook, old = hooks.add_hook(game=game, url="https://chat.example/", created_by=None)
    admin, url = hub.member(game, Role.ADMIN), f"/g/{game.slug}/alerts/"
    answer = admin.post(f"{url}hooks/{hook.pk}/rotate/", {"overlap": "86400"})
    hook.refresh_from_db()
    new = hook.secret["key"]
    page = answer.content.decode()
    assert new != old
    assert (page.count(new), old in page, "no-store" in answer["Cache-Control"]) == (2, False, True)
    assert "The old secret signs too until" in page
    listed = admin.get(url).content.decode()
    assert "The old secret signs too until" in listed
    assert new not in listed
    ended = admin.post(f"{url}hooks/{hook.pk}/rotate/", {"overlap": "0"}).content.decode()
    assert "The old secret signs nothing from now on." in ended
    assert "The old secret signs too until" not in admin.get(url).content.decode()
    before = AlertHook.objects.get().secret
    assert "Select a valid choice" in admin.post(f"{url}hooks/{hook.pk}/rotate/", {"overlap": "5"}).content.decode()
    assert AlertHook.objects.get().secret == before
