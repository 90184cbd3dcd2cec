"""Signing in: passwords, second factors, lockout, sessions, and attacks."""

import os
import re
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.usersessions.models import UserSession
from axes.models import AccessAttempt
from django.conf import global_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audience.accounts import second_factor
from audience.models import AddressChange, ApiKey, Game, Invitation, Membership, Role
from audience.models.keys import sha256_hex
from audience.templatetags.hub import browser_name
from config import settings as product_settings
from config.middleware import PAGES_WITHOUT_SECOND_FACTOR
from tests import hub
from tests.browser import pages

ROOT = Path(__file__).resolve().parents[2]
LOGIN = "/accounts/login/"
ACTIVATE = "/accounts/2fa/totp/activate/"


@pytest.fixture(autouse=True)
def _nothing_counted_before(db: None) -> None:
    cache.clear()


@pytest.fixture
def ada(game: Game) -> User:
    """An admin of the game with a password."""
    person: Any = hub.user("ada")
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    return person


def sign_in(client: Client, *, login: str = "ada@studio.example", password: str = hub.PASSWORD, **given: Any) -> Any:
    return client.post(LOGIN, {"login": login, "password": password, **given})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def code(secret: str) -> str:
    """What an authenticator app shows now."""
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))


def with_app(client: Client) -> str:
    """Set up an authenticator app through the pages; its secret."""
    sign_in(client)
    confirm(client)
    page = client.get(ACTIVATE).content.decode()
    found = re.search(r'<code id="authenticator_secret">([A-Z2-7]+)</code>', page)
    assert found
    assert client.post(ACTIVATE, {"code": code(found[1])})["Location"] == "/accounts/2fa/recovery-codes/"
    for row in Authenticator.objects.filter(type="totp"):  # the app's next code is 30 seconds away
        row.data.pop("spent")
        row.save()
    return found[1]


def confirm(client: Client) -> None:
    """Type the password once more, as every change of how one signs in asks for."""
    answer = client.post("/accounts/reauthenticate/", {"password": hub.PASSWORD})
    assert answer.status_code == 302


def test_ten_wrong_passwords_lock_the_account_for_this_address_with_a_message(ada: User) -> None:
    hub.user("other")
    for attempt in range(10):
        answer = sign_in(Client(), login="Ada@Studio.example" if attempt % 2 else "ada@studio.example", password="no")
    assert answer.status_code == 429
    assert "are blocked for 15 minutes" in answer.content.decode()
    locked, other, elsewhere = Client(), Client(), Client(REMOTE_ADDR="198.51.100.7")
    assert sign_in(locked).status_code == 429
    assert not signed_in(locked)
    sign_in(other, login="other@studio.example")
    sign_in(elsewhere)
    assert (signed_in(other), signed_in(elsewhere)) == (True, True)
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        sign_in(locked)
        assert signed_in(locked)


def test_a_claimed_address_does_not_get_around_the_lock(ada: User) -> None:
    for attempt in range(10):
        sign_in(Client(headers={"X-Forwarded-For": f"198.51.100.{attempt}"}), password="no")
    assert sign_in(Client(headers={"X-Forwarded-For": "198.51.100.99"})).status_code == 429
    assert {row.ip_address for row in AccessAttempt.objects.all()} == {"127.0.0.1"}


def test_nor_does_an_address_claimed_before_the_one_the_proxy_saw(ada: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    for attempt in range(10):
        sign_in(Client(headers={"X-Forwarded-For": f"198.51.100.{attempt}, 203.0.113.9"}), password="no")
    assert sign_in(Client(headers={"X-Forwarded-For": "198.51.100.99, 203.0.113.9"})).status_code == 429
    assert {row.ip_address for row in AccessAttempt.objects.all()} == {"203.0.113.9"}


def test_an_unknown_address_is_refused_with_the_message_for_a_wrong_password(ada: User) -> None:
    pages = [
        sign_in(Client(), login=login, password="no").content.decode()
        for login in ("ada@studio.example", "x@y.example")
    ]
    said = [re.findall(r'<ul class="errorlist nonfield[^>]*><li>([^<]+)', page) for page in pages]
    assert said[0] == said[1] != []


def test_the_code_of_an_authenticator_app_is_required_after_the_password(ada: User, game: Game) -> None:
    secret, client = with_app(Client()), Client()
    assert sign_in(client)["Location"] == "/accounts/2fa/authenticate/"
    assert not signed_in(client)
    assert client.get(f"/g/{game.slug}/").status_code == 302
    answer = client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert "Incorrect code." in answer.content.decode()
    assert not signed_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code(secret)})
    assert signed_in(client)
    assert client.get(f"/g/{game.slug}/").status_code == 200


@pytest.mark.parametrize("page", ["2fa/authenticate/", "2fa/reauthenticate/"])
def test_a_code_is_accepted_once_over_all_processes(ada: User, page: str) -> None:
    """Another process, or an emptied cache, knows nothing of the first time; the database does."""
    secret = with_app(Client())
    with time_machine.travel(timezone.now(), tick=False):
        first, second = Client(), Client()
        sign_in(first)
        first.post("/accounts/2fa/authenticate/", {"code": code(secret)})
        assert signed_in(first)
        cache.clear()
        if page == "2fa/reauthenticate/":
            second = first
        else:
            sign_in(second)
        answer = second.post(f"/accounts/{page}", {"code": f" {code(secret)} "})
        assert "Incorrect code." in answer.content.decode()
        assert signed_in(second) is (second is first)


def test_the_code_that_set_an_app_up_does_not_sign_in(ada: User) -> None:
    client, other = Client(), Client()
    sign_in(client)
    confirm(client)
    with time_machine.travel(timezone.now(), tick=False):
        found = re.search(r'<code id="authenticator_secret">([A-Z2-7]+)</code>', client.get(ACTIVATE).content.decode())
        assert found
        assert client.post(ACTIVATE, {"code": code(found[1])}).status_code == 302
        cache.clear()
        sign_in(other)
        answer = other.post("/accounts/2fa/authenticate/", {"code": code(found[1])})
        assert "Incorrect code." in answer.content.decode()
        assert not signed_in(other)


def test_of_two_concurrent_requests_with_one_code_one_signs_in(ada: User) -> None:
    secret = with_app(Client())
    row = Authenticator.objects.get(type="totp")
    stale = Authenticator.objects.get(type="totp")
    assert (second_factor.use_code(row, code(secret)), second_factor.use_code(stale, code(secret))) == (True, False)


def test_codes_are_not_guessed_more_than_ten_times_in_a_quarter_of_an_hour(ada: User) -> None:
    secret, client = with_app(Client()), Client()
    sign_in(client)
    for _ in range(10):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    answer = client.post("/accounts/2fa/authenticate/", {"code": code(secret)})
    assert "Too many failed login attempts" in answer.content.decode()
    assert not signed_in(client)


def test_a_recovery_code_signs_in_once(ada: User) -> None:
    owner = Client()
    with_app(owner)
    page = owner.get("/accounts/2fa/recovery-codes/").content.decode()
    codes = re.findall(r"<li><code>(\d{8})</code></li>", page)
    assert len(codes) == 10
    for expected in (True, False):
        client = Client()
        sign_in(client)
        client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
        assert signed_in(client) is expected
    assert "9 left" in owner.get("/accounts/").content.decode()


def test_secrets_of_second_factors_are_encrypted_and_rotated(ada: User, settings: Any, capsys: Any) -> None:
    secret = with_app(Client())
    kept = {row.type: dict(row.data) for row in Authenticator.objects.all()}
    assert sorted(kept) == ["recovery_codes", "totp"]
    assert secret not in str(kept)
    old = settings.CREDENTIAL_KEYS[0]
    settings.CREDENTIAL_KEYS = ("bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleS0=", old)
    call_command("rotate_credential_keys")
    assert "second factors: 2 re-encrypted, 0 already under the first key, 0 unreadable" in capsys.readouterr().out
    settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS[:1]
    client = Client()
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code(secret)})
    assert signed_in(client)


def test_a_second_factor_is_set_up_only_after_the_password_was_typed_again(ada: User) -> None:
    client = Client()
    sign_in(client)
    for url in (ACTIVATE, "/accounts/2fa/webauthn/add/", "/accounts/2fa/recovery-codes/generate/"):
        assert client.get(url)["Location"].startswith("/accounts/reauthenticate/?next=")
    answer = client.post("/accounts/email/", {"email": "mallory@elsewhere.example"})
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")
    assert (AddressChange.objects.count(), len(mail.outbox)) == (0, 0)
    assert not Authenticator.objects.exists()


def test_admins_are_led_to_set_up_a_second_factor_where_one_is_required(ada: User, game: Game, settings: Any) -> None:
    client, marketer = Client(), hub.member(game, Role.MARKETER)
    sign_in(client)
    keys = f"/g/{game.slug}/keys/"
    assert client.get(keys).status_code == 200
    settings.REQUIRE_MFA_FOR_ADMINS = True
    assert client.get(keys)["Location"] == "/accounts/2fa/"
    page = client.get("/accounts/2fa/").content.decode()
    assert "This installation requires two-factor authentication for admins." in page
    key = {"name": "web", "kind": "publishable", "environment": "production", "dialect": "immutable"}
    assert client.post(f"{keys}new/", key)["Location"] == "/accounts/2fa/"
    assert not ApiKey.objects.exists()
    assert client.get(keys, headers={"HX-Request": "true"})["HX-Redirect"] == "/accounts/2fa/"
    assert "Set up two-factor authentication." in client.get("/accounts/").content.decode()
    assert marketer.get(keys).status_code == 200
    with_app(client)
    assert client.get(keys).status_code == 200


def test_recovery_codes_alone_are_no_second_factor(ada: User, game: Game, settings: Any) -> None:
    settings.REQUIRE_MFA_FOR_ADMINS = True
    Authenticator.objects.create(user=ada, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert hub.signed_in(ada).get(f"/g/{game.slug}/keys/")["Location"] == "/accounts/2fa/"


def test_a_superuser_without_a_second_factor_sets_one_up_and_does_nothing_else(game: Game, settings: Any) -> None:
    settings.REQUIRE_MFA_FOR_ADMINS = True
    root: Any = hub.user("root", is_superuser=True)
    client = Client()
    sign_in(client, login="root@studio.example")
    allowed = []
    for route, entry in pages.patterns():
        if "<" in route or entry.pattern.converters or entry.pattern.regex.groups:
            continue
        url = f"/{route}"
        for answer in (client.get(url), client.post(url)):
            led = answer.status_code == 302 and answer["Location"] == "/accounts/2fa/"
            barred = answer.status_code == 403 and "two-factor" in answer.content.decode()
            if not led and not barred and entry.name not in allowed:
                allowed.append(entry.name)
        sign_in(client, login="root@studio.example")
    assert set(allowed) - {None} <= PAGES_WITHOUT_SECOND_FACTOR
    for name in pages.of_the_hub():
        if "slug" in pages.of_the_hub()[name].pattern.converters:
            assert client.get(pages.nonexistent(name, game.slug))["Location"] == "/accounts/2fa/", name
            assert client.post(pages.nonexistent(name, game.slug))["Location"] == "/accounts/2fa/", name
    assert client.get("/", headers={"HX-Request": "true"})["HX-Redirect"] == "/accounts/2fa/"
    assert client.get("/api/schema/").status_code == 403
    confirm(client)
    assert client.get(ACTIVATE).status_code == 200
    Authenticator.objects.create(user=root, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert client.get(f"/g/{game.slug}/").status_code == 200
    assert client.get("/accounts/email/").status_code == 200


def test_other_users_are_not_affected(game: Game, settings: Any) -> None:
    settings.REQUIRE_MFA_FOR_ADMINS = True
    assert hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/").status_code == 200
    assert Client().get("/livez").status_code == 200
    staff = hub.signed_in(hub.user("operator", is_staff=True))
    assert staff.get("/accounts/").status_code == 200
    for url in ("/games/new/", "/admin/"):
        assert staff.get(url)["Location"] == "/accounts/2fa/", url


def test_the_django_admin_requires_the_second_factor_too(db: None, settings: Any) -> None:
    settings.REQUIRE_MFA_FOR_ADMINS = True
    root: Any = hub.user("root", is_staff=True, is_superuser=True)
    client = hub.signed_in(root)
    assert client.get("/admin/")["Location"] == "/accounts/2fa/"
    assert client.get("/admin/audience/game/add/")["Location"] == "/accounts/2fa/"
    Authenticator.objects.create(user=root, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert client.get("/admin/").status_code == 200


def test_the_django_admin_has_no_sign_in_form_of_its_own(db: None) -> None:
    hub.user("root", is_staff=True, is_superuser=True)
    client = Client()
    for answer in (
        client.get("/admin/login/?next=/admin/"),
        client.post("/admin/login/?next=/admin/", {"username": "root", "password": hub.PASSWORD}),
    ):
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=%2Fadmin%2F")
    assert not signed_in(client)


def test_sessions_are_listed_and_ended_from_elsewhere(ada: User, game: Game) -> None:
    here, lost = (
        Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}),
        Client(REMOTE_ADDR="203.0.113.9"),
    )
    sign_in(here)
    sign_in(lost)
    page = here.get("/accounts/sessions/").content.decode()
    assert "Firefox on Linux" in page
    assert "203.0.113.9" in page
    assert page.count("This browser") == 1
    assert "2 sessions" in here.get("/accounts/").content.decode()
    assert lost.get(f"/g/{game.slug}/").status_code == 200
    assert here.post("/accounts/sessions/").status_code == 302
    assert lost.get(f"/g/{game.slug}/").status_code == 302
    assert here.get(f"/g/{game.slug}/").status_code == 200
    assert UserSession.objects.count() == 1


def test_last_seen_is_updated_every_five_minutes(ada: User, game: Game) -> None:
    client = Client()
    sign_in(client)
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(days=1))
    client.get("/accounts/")
    seen = UserSession.objects.get().last_seen_at
    assert timezone.now() - seen < timedelta(minutes=1)
    client.get("/accounts/")
    assert UserSession.objects.get().last_seen_at == seen


def test_a_changed_password_signs_the_other_browsers_out(ada: User) -> None:
    here, other = Client(), Client()
    sign_in(here)
    sign_in(other)
    new = "another battery staple"
    answer = here.post("/accounts/password/change/", {"oldpassword": hub.PASSWORD, "password1": new, "password2": new})
    assert answer.status_code == 302
    assert (here.get("/accounts/").status_code, other.get("/accounts/").status_code) == (200, 302)
    assert "password" in mail.outbox[0].subject.lower()


def test_a_forgotten_password_is_set_by_a_mailed_link_once(ada: User) -> None:
    client = Client()
    assert client.post("/accounts/password/reset/", {"email": "ada@studio.example"}).status_code == 302
    found = re.search(r"https?://\S+/accounts/password/reset/key/\S+", mail.outbox[0].body)
    assert found
    answer = client.get(urlsplit(found[0]).path, follow=True)
    form, new = answer.request["PATH_INFO"], "another battery staple"
    assert client.post(form, {"password1": new, "password2": new}).status_code == 302
    ada.refresh_from_db()
    assert ada.check_password(new)
    assert "This link no longer works" in Client().get(urlsplit(found[0]).path).content.decode()


def test_mailed_links_lead_to_the_public_address_whatever_the_host_says(ada: User, game: Game, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.PUBLIC_URL = "https://hub.example"
    evil = Client(headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    evil.post("/accounts/password/reset/", {"email": ada.email})
    sign_in(evil)
    confirm(evil)
    evil.post("/accounts/email/", {"email": "ada@new.example"})
    evil.post(f"/g/{game.slug}/members/invite/", {"email": "x@new.example", "role": "viewer"})
    new = "another battery staple"
    evil.post("/accounts/password/change/", {"oldpassword": hub.PASSWORD, "password1": new, "password2": new})
    assert len(mail.outbox) == 5
    for message in mail.outbox:
        text = f"{message.subject} {message.body} {message.extra_headers}"
        assert "evil" not in text, message.subject
        links = re.findall(r"https?://[^\s,]+", text)
        assert links != [], message.subject
        assert all(link.startswith("https://hub.example") for link in links), message.subject


def test_an_unknown_address_gets_no_mail_and_the_same_page(ada: User) -> None:
    pages = [
        Client().post("/accounts/password/reset/", {"email": email}, follow=True).content.decode()
        for email in ("ada@studio.example", "stranger@elsewhere.example")
    ]
    assert all("If an account exists for this address" in page for page in pages)
    assert [message.to for message in mail.outbox] == [["ada@studio.example"]]


def test_a_mail_server_that_is_down_fails_no_page(ada: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nothing listens there
    answer = Client().post("/accounts/password/reset/", {"email": "ada@studio.example"}, follow=True)
    assert answer.status_code == 200


def test_a_slow_mail_server_does_not_reveal_which_addresses_have_an_account(ada: User, settings: Any) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = silent.getsockname()
    settings.EMAIL_TIMEOUT = 30
    began = time.monotonic()
    answer = Client().post("/accounts/password/reset/", {"email": "ada@studio.example"})
    took = time.monotonic() - began
    silent.settimeout(10)
    taken_up, _ = silent.accept()  # the mail is being sent all the same
    taken_up.close()
    silent.close()
    assert answer["Location"] == "/accounts/password/reset/done/"
    assert took < 10


def test_the_cache_has_no_session_key(ada: User) -> None:
    client = Client()
    sign_in(client)
    client.get("/accounts/")
    key = client.session.session_key
    assert key is not None
    assert cache.add(f"seen:{key}", True)
    assert not cache.add(f"seen:{sha256_hex(key)}", True)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "http://testserver@evil.example/",
    ],
)
def test_signing_in_and_out_leads_to_no_other_site(ada: User, game: Game, elsewhere: str) -> None:
    client = Client()
    assert sign_in(client, next=elsewhere)["Location"] == "/"
    assert client.post("/accounts/logout/", {"next": elsewhere})["Location"] == "/accounts/login/"
    assert sign_in(client, next=f"/g/{game.slug}/keys/")["Location"] == f"/g/{game.slug}/keys/"
    answer = client.post("/accounts/reauthenticate/", {"password": hub.PASSWORD, "next": elsewhere})
    assert "evil" not in answer["Location"]
    assert "javascript" not in answer["Location"]


def test_a_post_without_its_token_is_refused_and_changes_nothing(ada: User, game: Game) -> None:
    client = Client(enforce_csrf_checks=True)
    assert sign_in(client).status_code == 403
    client.force_login(ada)
    own = Membership.objects.get().pk
    for url, data in (
        (f"/g/{game.slug}/members/invite/", {"email": "x@y.example", "role": "admin"}),
        (f"/g/{game.slug}/members/{own}/role/", {"role": "viewer"}),
        (f"/g/{game.slug}/keys/new/", {"name": "web"}),
        ("/accounts/sessions/", {}),
        ("/accounts/logout/", {}),
        (ACTIVATE, {"code": "123456"}),
    ):
        assert client.post(url, data).status_code == 403, url
    assert (Invitation.objects.count(), ApiKey.objects.count(), len(mail.outbox)) == (0, 0, 0)
    assert Membership.objects.get().role == Role.ADMIN
    assert signed_in(client)


def test_no_account_page_contains_inline_code(ada: User) -> None:
    client = Client()
    with_app(client)
    for url in (
        *("", "2fa/", "2fa/recovery-codes/", "2fa/recovery-codes/generate/", "2fa/webauthn/", "2fa/webauthn/add/"),
        *("2fa/totp/deactivate/", "2fa/reauthenticate/", "sessions/", "password/change/", "reauthenticate/"),
    ):
        answer = client.get(f"/accounts/{url}")
        assert answer.status_code == 200, url
        assert hub.inline_code(answer.content.decode()) == [], url
    stranger = Client()
    for url in ("login/", "password/reset/", "signup/"):
        assert hub.inline_code(stranger.get(f"/accounts/{url}").content.decode()) == [], url
    sign_in(stranger)
    assert hub.inline_code(stranger.get("/accounts/2fa/authenticate/").content.decode()) == []


def test_there_is_no_sign_up(db: None) -> None:
    for answer in (Client().get("/accounts/signup/"), Client().post("/accounts/signup/", {"email": "x@y.example"})):
        assert "Ask an admin of your studio for an invitation." in answer.content.decode()
    assert not User.objects.exists()


def test_every_answer_has_the_permissions_policy(client: Client, db: None) -> None:
    answer = client.get(LOGIN)
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    assert "camera=(), microphone=(), geolocation=()" in answer["Permissions-Policy"]
    assert "publickey-credentials-get=(self)" in answer["Permissions-Policy"]


@pytest.mark.long
def test_behind_https_the_deploy_checks_find_nothing_and_cookies_are_secure() -> None:
    environ = {
        # tests/chromium.py sets it for the tests, and the check finds it.
        **{name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"},
        "PUBLIC_URL": "https://hub.example.com",
        "ALLOWED_HOSTS": "hub.example.com",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
    }
    asking = (
        "from django.conf import settings as s; "
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS, s.SESSION_COOKIE_HTTPONLY)"
    )
    for arguments, said in (
        (["check", "--deploy", "--fail-level", "WARNING"], "no issues"),
        (["shell", "-v", "0", "-c", asking], "True True 31536000 True"),
    ):
        run = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert said in run.stdout


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5", "curl/8.5"),
        ("", "Unknown"),
    ],
)
def test_a_browser_is_named_as_people_would(agent: str, said: str) -> None:
    assert browser_name(agent) == said


def test_a_password_is_hashed_with_djangos_default_and_not_as_in_tests() -> None:
    assert not hasattr(product_settings, "PASSWORD_HASHERS")
    assert global_settings.PASSWORD_HASHERS[0] == "django.contrib.auth.hashers.PBKDF2PasswordHasher"
    assert PBKDF2PasswordHasher.iterations >= 1_000_000
