"""Messages about alerts: mails by SMTP, signed webhooks, and retries."""

import hashlib
import hmac
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.core import mail
from django.core.mail import get_connection
from django.utils import timezone

from audience.models import Game, Membership, Role
from audience.wording import dates
from postbacks.models import Alert, AlertHook, Notice, PostbackConfig
from postbacks.monitoring.alerts import hook_calls, hooks, notices
from postbacks.monitoring.alerts.watch import watch
from tests import hub
from tests.postbacks.test_alerts import heal, hold
from tests.postbacks.test_http import Peer, peer

OK = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
CAUSE = "Nothing is sent; 0 conversions are on hold. TikTok Ads does not accept this access token."


@pytest.fixture
def admin(game: Game) -> Any:
    user: Any = hub.user("ada")
    Membership.objects.create(game=game, user=user, role=Role.ADMIN)
    return user


@pytest.fixture
def inside(settings: Any) -> Iterator[Peer]:
    """A studio's hook on loopback, which the operator allows; `answers` are given in turn, then 204."""
    settings.ALERT_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    answers: list[bytes] = []
    with peer(lambda connection: connection.sendall(answers.pop(0) if answers else OK), end=b"}") as running:
        running.answers = answers  # type: ignore[attr-defined]
        yield running


def hook(game: Game, url: str) -> tuple[AlertHook, str]:
    return hooks.add_hook(game=game, url=url, created_by=None)


def earlier_hook(game: Game, url: str) -> tuple[AlertHook, str]:
    """A webhook as earlier versions made it, and its secret."""
    secret = "whsec_Zk3-uQ_9vY1bT7xO0sLm2Rw5Ea8Hc4Jd6Nf-Pg_Ii0k"
    return AlertHook.objects.create(game=game, url=url, secret={"key": secret}), secret


def later(**given: float) -> None:
    """As if this much time had passed for whatever waits."""
    for row in Notice.objects.filter(state="waiting"):
        row.next_attempt_at -= timedelta(**given)
        row.leased_until = row.leased_until and row.leased_until - timedelta(**given)
        row.save()


# Mail -----------------------------------------------------------------------------------------------------------


def test_an_alert_and_its_recovery_are_two_mails(config: PostbackConfig, admin: Any) -> None:
    now = timezone.now()
    hold(config)
    watch(now=now)
    assert notices.deliver_notices() == 1
    heal(config)
    watch(now=now + timedelta(minutes=1))
    watch(now=now + timedelta(minutes=3))
    later(minutes=3)
    assert [notices.deliver_notices() for _ in range(2)] == [1, 0]

    opened, recovered = mail.outbox
    assert (opened.to, opened.from_email) == (["ada@studio.example"], "Afterclick <afterclick@localhost>")
    assert opened.subject == f"[Afterclick] Sky Raiders: TikTok Ads {config.pixel_id} is on hold"
    assert opened.body == (
        f"Sky Raiders: TikTok Ads {config.pixel_id} is on hold, since {dates.moment(now)}.\n\n"
        f"{CAUSE}\n\n"
        "What to do: Rotate the access token: choose Edit, then Rotate credentials.\n\n"
        "http://127.0.0.1:8000/g/sky-raiders/integrations/tiktok/\n\n"
        "-- \nChange your notifications: http://127.0.0.1:8000/g/sky-raiders/alerts/\n"
    )
    assert recovered.subject == f"[Afterclick] Sky Raiders: TikTok Ads {config.pixel_id} has recovered"
    assert "Back to normal: conversions are sent again." in recovered.body
    assert "access token is" not in recovered.body
    assert [row.state for row in Notice.objects.all()] == ["sent", "sent"]


@pytest.mark.parametrize("backend", ["console", "filebased", "dummy"])
def test_a_mail_that_only_went_to_the_log_is_not_sent(
    config: PostbackConfig, admin: Any, settings: Any, tmp_path: Any, backend: str
) -> None:
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    hold(config)
    watch()
    assert notices.deliver_notices() == 1
    notice = Notice.objects.get()
    assert (notice.state, notice.attempts_made) == ("logged", 1)
    assert notice.message == (
        "This installation has no mail server (EMAIL_URL): the email was written to the log and was not sent."
    )
    page = hub.signed_in(admin).get(f"/g/{config.game.slug}/alerts/").content.decode()
    assert '<span class="status warn">Not emailed</span>' in page
    assert ">Sent<" not in page
    assert "<strong>This installation has no mail server.</strong> Emails about alerts are written to its log" in page


def test_a_hook_is_called_and_sent_without_a_mail_server(config: PostbackConfig, inside: Peer, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    hook(config.game, inside.url)
    hold(config)
    watch()
    assert notices.deliver_notices() == 1
    assert Notice.objects.get().state == "sent"


def test_a_recovery_is_not_sent_before_its_alert(config: PostbackConfig, admin: Any) -> None:
    now = timezone.now()
    hold(config)
    watch(now=now)
    PostbackConfig.objects.update(enabled=False)
    watch(now=now)
    Notice.objects.filter(kind="opened").update(next_attempt_at=now + timedelta(hours=1))
    assert notices.deliver_notices() == 0
    later(hours=2)
    assert notices.deliver_notices() == 2
    assert [message.subject.rpartition(" ")[2] for message in mail.outbox] == ["hold", "disabled"]
    assert "The postback was disabled" in mail.outbox[1].body


@pytest.mark.parametrize("gone", ["membership", "account", "address"])
def test_a_member_who_left_meanwhile_gets_no_mail(config: PostbackConfig, admin: Any, gone: str) -> None:
    hold(config)
    watch()
    if gone == "membership":
        Membership.objects.all().delete()
    elif gone == "account":
        type(admin).objects.update(is_active=False)
    else:
        type(admin).objects.update(email="")
    notices.deliver_notices()
    assert mail.outbox == []
    assert Notice.objects.get().state == "failed"


def test_a_name_with_a_line_break_makes_no_header(config: PostbackConfig, admin: Any) -> None:
    Game.objects.update(name="Sky\r\nBcc: all@example.com")
    hold(config)
    watch()
    notices.deliver_notices()
    assert mail.outbox[0].subject.startswith("[Afterclick] Sky Bcc: all@example.com: TikTok Ads")
    assert mail.outbox[0].recipients() == ["ada@studio.example"]


class _Sink(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it is sent, and refuses as many messages as `refuse` says."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.refuse, self.messages = 0, list[bytes]()


class _Smtp(socketserver.StreamRequestHandler):
    server: _Sink

    def handle(self) -> None:
        self._say("220 sink")
        while line := self.rfile.readline():
            word = line[:4].upper().strip()
            if word == b"DATA" and self.server.refuse:
                self.server.refuse -= 1
                self._say("451 4.7.1 ada@studio.example: come back later")
            elif word == b"DATA":
                self._say("354 go on")
                self.server.messages.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                self._say("250 taken")
            else:
                self._say("221 bye" if word == b"QUIT" else "250 yes")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def test_a_mail_is_retried_until_the_mail_server_accepts_it(config: PostbackConfig, admin: Any, settings: Any) -> None:
    hold(config)
    watch()
    with _Sink() as sink:
        threading.Thread(target=sink.serve_forever, args=(0.02,), daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = sink.server_address
        assert get_connection().host == "127.0.0.1"
        sink.refuse = 1
        notices.deliver_notices()
        row = Notice.objects.get()
        assert (row.state, row.attempts_made) == ("waiting", 1)
        assert row.message == "The mail server did not accept the email (SMTPDataError)."
        assert timedelta(seconds=50) < row.next_attempt_at - timezone.now() <= timedelta(seconds=60)
        later(seconds=60)
        notices.deliver_notices()
        sink.shutdown()
    (taken,) = sink.messages
    message = message_from_bytes(taken, policy=policy.default)
    assert (message["To"], message["Message-ID"]) == ("ada@studio.example", f"<{row.pk}@afterclick>")
    assert CAUSE in message.get_content()
    assert Notice.objects.get().state == "sent"


def test_an_unavailable_mail_server_is_tried_eight_times_over_a_day(
    config: PostbackConfig, admin: Any, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    hold(config)
    watch()
    waits = []
    while (row := Notice.objects.get()).state == "waiting":
        assert notices.deliver_notices() == 1
        row.refresh_from_db()
        waits.append(round((row.next_attempt_at - timezone.now()).total_seconds()))
        later(days=1)
    assert (row.state, row.attempts_made) == ("failed", 8)
    assert waits[:7] == pytest.approx(notices.SCHEDULE, abs=30)
    assert row.message == "The mail server did not accept the email (ConnectionRefusedError)."


def test_a_leased_message_is_not_claimed_until_its_lease_ends(config: PostbackConfig, admin: Any) -> None:
    hold(config)
    watch()
    pk = Notice.objects.get().pk
    first = notices.claim(pk)
    assert first is not None
    assert notices.claim(pk) is None
    later(minutes=3)
    second = notices.claim(pk)
    assert second is not None
    notices.send(second)
    Notice.objects.update(message="by the second")
    notices.send(first)  # late: it must not write on what is not its own any more
    assert Notice.objects.get().message == "by the second"


# Hooks ----------------------------------------------------------------------------------------------------------


def test_a_hook_of_an_earlier_version_gets_json_with_the_signature_of_that_version(
    config: PostbackConfig, inside: Peer
) -> None:
    row, secret = earlier_hook(config.game, f"{inside.url}/hook")
    hold(config)
    watch()
    assert notices.deliver_notices() == 1
    head, _, body = inside.requests[0].partition(b"\r\n\r\n")
    headers = {name.lower(): value for name, value in re.findall(r"(\S+): (.*?)\r", head.decode() + "\r")}
    notice, alert = Notice.objects.get(), Alert.objects.get()
    assert head.startswith(b"POST /hook HTTP/1.1")
    assert (headers["afterclick-event"], headers["afterclick-id"]) == ("alert.opened", str(notice.pk))
    at, v1 = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["afterclick-signature"]).groups()  # type: ignore[union-attr]
    assert v1 == hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert abs(int(at) - timezone.now().timestamp()) < 60
    content = {
        "game": {"slug": "sky-raiders", "name": "Sky Raiders"},
        "text": f"Sky Raiders: TikTok Ads {config.pixel_id} is on hold. {CAUSE}",
        "url": "http://127.0.0.1:8000/g/sky-raiders/integrations/tiktok/",
        "postback": {"id": str(config.pk), "network": "tiktok", "pixel_id": config.pixel_id},
        "alert": {
            "id": str(alert.pk),
            "health": "on_hold",
            "cause": CAUSE,
            "next_step": "Rotate the access token: choose Edit, then Rotate credentials.",
            "opened_at": alert.opened_at.isoformat(),
            "recovered_at": None,
            "ending": None,
        },
    }
    assert json.loads(body) == {
        "id": str(notice.pk),
        "event": "alert.opened",
        "created_at": notice.created_at.isoformat(),
        **content,
        "type": "alert.opened",
        "timestamp": notice.created_at.isoformat(),
        "data": content,
    }
    assert (notice.state, notice.message) == ("sent", "It answered 204.")
    assert secret not in inside.requests[0].decode()
    assert row.secret == {"key": secret}


def test_anything_but_2xx_is_tried_again_under_the_same_id(config: PostbackConfig, inside: Peer) -> None:
    hook(config.game, inside.url)
    inside.answers += [  # type: ignore[attr-defined]
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Moved\r\nLocation: https://example.com/\r\nContent-Length: 0\r\n\r\n",
    ]
    hold(config)
    watch()
    said = []
    for _ in range(3):
        notices.deliver_notices()
        said.append(Notice.objects.get().message)
        later(hours=1)
    assert said == [
        "It answered 500.",
        "It answered 302, a redirect, which is not followed. Enter the URL that it leads to.",
        "It answered 204.",
    ]
    assert len({re.search(rb"webhook-id: (\S+)", request)[1] for request in inside.requests}) == 1  # type: ignore[index]
    assert len(inside.requests) == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"ok", "It answered 200: “ok”."),
        (b'{"errcode":310000,"errmsg":"keywords not in content"}', None),
        (
            b"<!doctype html><title>Sign in</title>",
            "It answered 200 with a web page. Check that this URL accepts webhooks.",
        ),
        (b"", "It answered 200."),
        (b"x" * 500, f"It answered 200: “{'x' * 200}”."),
    ],
)
def test_the_body_of_a_2xx_is_quoted_and_does_not_make_it_a_failure(
    game: Game, inside: Peer, body: bytes, message: str | None
) -> None:
    row, _ = hook(game, inside.url)
    inside.answers += [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]  # type: ignore[attr-defined]
    hooks.request_test(hook=row)
    notices.deliver_notices()
    notice = Notice.objects.get()
    expected = message or f"It answered 200: “{body.decode()}”."
    assert (notice.state, notice.message) == ("sent", expected)


def test_a_hook_with_a_private_address_is_not_called(config: PostbackConfig, inside: Peer, settings: Any) -> None:
    hook(config.game, inside.url)
    settings.ALERT_PRIVATE_HOSTS = frozenset()
    hold(config)
    watch()
    notices.deliver_notices()
    assert Notice.objects.get().message == hook_calls.PRIVATE
    assert inside.requests == []


def test_a_hook_that_was_switched_off_meanwhile_is_not_called(config: PostbackConfig, inside: Peer) -> None:
    row, _ = hook(config.game, inside.url)
    hold(config)
    watch()
    hooks.set_hook_enabled(hook=row, enabled=False)
    notices.deliver_notices()
    assert inside.requests == []
    assert (Notice.objects.get().state, Notice.objects.get().message) == ("failed", "The webhook is disabled.")


def test_a_test_is_sent_once_and_never_tried_again(game: Game, inside: Peer) -> None:
    row, _ = hook(game, inside.url)
    inside.answers += [b"HTTP/1.1 404 Nothing\r\nContent-Length: 0\r\n\r\n"]  # type: ignore[attr-defined]
    assert hooks.request_test(hook=row).pk == hooks.request_test(hook=row).pk
    notices.deliver_notices()
    notice = Notice.objects.get()
    assert (notice.kind, notice.state, notice.message) == ("test", "failed", "It answered 404.")
    assert b'"type": "test"' in inside.requests[0]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://chat.example/", "This URL cannot be called: it must start with https://."),
        ("https://10.0.0.1/", "This URL cannot be called: this address is not on the public internet."),
        ("https://taken.example/", "A webhook with this URL already exists."),
    ],
)
def test_an_address_that_cannot_be_called_is_not_added(game: Game, url: str, why: str) -> None:
    hook(game, "https://taken.example/")
    with pytest.raises(hooks.HookRefused) as refused:
        hook(game, url)
    assert str(refused.value) == why
    assert AlertHook.objects.count() == 1


def test_a_game_has_at_most_ten_hooks(game: Game) -> None:
    for number in range(10):
        hook(game, f"https://chat.example/{number}")
    with pytest.raises(hooks.HookRefused, match="at most 10 webhooks"):
        hook(game, "https://chat.example/10")
    assert AlertHook.objects.count() == 10
