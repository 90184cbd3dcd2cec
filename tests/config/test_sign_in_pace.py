"""Passwords tried from many addresses: attempts are delayed, but not those of the account's owner."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone

from audience.accounts import sign_in_pace
from audience.models import SignInPace
from config.accounts import failure_address
from tests import hub

LOGIN = "/accounts/login/"
EMAIL = "ada@studio.example"


@pytest.fixture(autouse=True)
def _nothing_counted_before(db: None) -> None:
    cache.clear()


@pytest.fixture
def ada() -> User:
    person: Any = hub.user("ada")
    return person


def address(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250 + 1}"


def sign_in(client: Client, password: str = hub.PASSWORD, email: str = EMAIL) -> Any:
    return client.post(LOGIN, {"login": email, "password": password})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def let_pass() -> None:
    """As if the wait were over."""
    SignInPace.objects.update(free_at=timezone.now() - timedelta(seconds=1))


def attack(tries: int = 40, email: str = EMAIL) -> None:
    """So many tries at a password, from anywhere, as fast as they are let through."""
    for _ in range(tries):
        let_pass()
        assert sign_in_pace.count_attempt(RequestFactory().post(LOGIN), email) == 0


def test_after_twenty_tries_from_anywhere_a_right_password_waits_like_a_wrong_one(ada: User) -> None:
    for number in range(3):
        sign_in(Client(REMOTE_ADDR=address(number)), "wrong")
    assert SignInPace.objects.get().attempts == 3
    attack(16)
    assert sign_in_pace.count_attempt(RequestFactory().post(LOGIN), EMAIL) == 0  # the twentieth
    attack(10)
    failures = AccessAttempt.objects.count()
    owner = Client(REMOTE_ADDR="203.0.113.9")
    found = re.search(r"Wait (\d+) seconds, then try again", sign_in(owner).content.decode())
    assert found
    assert 20 <= int(found[1]) <= 30
    assert not signed_in(owner)
    assert "Wait" in sign_in(owner, "wrong").content.decode()
    assert AccessAttempt.objects.count() == failures  # the passwords were not even looked at
    let_pass()
    sign_in(owner)
    assert signed_in(owner)


def test_the_wait_doubles_up_to_half_a_minute_and_is_never_longer(ada: User) -> None:
    attack(19)
    waits = []
    for _ in range(8):
        attack(1)
        waits.append(sign_in_pace.count_attempt(RequestFactory().post(LOGIN), EMAIL))
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_quarter_of_an_hour_without_a_try_begins_anew(ada: User) -> None:
    attack()
    SignInPace.objects.update(last_at=timezone.now() - timedelta(minutes=15, seconds=1))
    let_pass()
    sign_in(Client(), "wrong")
    assert SignInPace.objects.get().attempts == 1


def test_a_browser_that_signed_in_before_is_not_slowed_down(ada: User) -> None:
    known = Client(REMOTE_ADDR="203.0.113.9")
    sign_in(known)
    assert known.cookies[sign_in_pace.KNOWN_BROWSER]["httponly"]
    known.post("/accounts/logout/")
    attack()
    stranger = Client(REMOTE_ADDR="203.0.113.10")
    sign_in(stranger)
    sign_in(known)
    assert (signed_in(stranger), signed_in(known)) == (False, True)


def test_a_mailed_password_link_works_during_an_attack(ada: User) -> None:
    owner, new = Client(REMOTE_ADDR="203.0.113.9"), "another battery staple"
    owner.post("/accounts/password/reset/", {"email": EMAIL})
    found = re.search(r"/accounts/password/reset/key/\S+", mail.outbox[0].body)
    assert found
    form = owner.get(found[0], follow=True).request["PATH_INFO"]
    owner.post(form, {"password1": new, "password2": "something else entirely"})
    assert sign_in_pace.KNOWN_BROWSER not in owner.cookies
    owner.post(form, {"password1": new, "password2": new})
    attack()
    assert "Wait" in sign_in(Client(REMOTE_ADDR="203.0.113.10"), new).content.decode()
    sign_in(owner, new)
    assert signed_in(owner)


def test_a_known_browser_has_a_separate_counter_for_its_account(ada: User) -> None:
    known = Client(REMOTE_ADDR="203.0.113.9")
    sign_in(known)
    with_it = RequestFactory().post(LOGIN)
    with_it.COOKIES[sign_in_pace.KNOWN_BROWSER] = known.cookies[sign_in_pace.KNOWN_BROWSER].value
    assert [sign_in_pace.count_attempt(with_it, EMAIL) for _ in range(21)] == [0] * 20 + [1]
    attack(email="bob@studio.example")
    assert sign_in_pace.count_attempt(with_it, "bob@studio.example") > 0


def test_a_forged_cookie_makes_no_known_browser(ada: User) -> None:
    attack()
    forged = Client(REMOTE_ADDR="203.0.113.9")
    for value in ("x", "", "WyJhIiwiYiJd:1x:y"):
        forged.cookies[sign_in_pace.KNOWN_BROWSER] = value
        assert "Wait" in sign_in(forged).content.decode()
    assert not signed_in(forged)


def test_attempts_of_a_locked_out_address_do_not_delay_others(ada: User) -> None:
    for _ in range(14):
        sign_in(Client(REMOTE_ADDR="198.51.100.7"), "wrong")
    assert SignInPace.objects.get().attempts == 10


def test_other_accounts_and_addresses_without_one_are_counted_alike(ada: User) -> None:
    hub.user("bob")
    attack()
    attack(email="nobody@studio.example")
    bob = Client()
    sign_in(bob, email="bob@studio.example")
    assert signed_in(bob)
    assert "Wait" in sign_in(Client(), email="nobody@studio.example").content.decode()


def test_a_password_typed_again_is_counted_too(ada: User) -> None:
    client = hub.signed_in(ada)
    client.post("/accounts/reauthenticate/", {"password": "wrong", "login": "other@x.example"})
    assert SignInPace.objects.get().attempts == 1
    attack()
    assert "Wait" in client.post("/accounts/reauthenticate/", {"password": hub.PASSWORD}).content.decode()


@pytest.mark.django_db(transaction=True)
def test_concurrent_attempts_are_counted_one_by_one(ada: User) -> None:
    def take(_: int) -> int:
        try:
            return sign_in_pace.count_attempt(RequestFactory().post(LOGIN), EMAIL)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(take, range(60)))
    assert waits.count(0) == 20


@pytest.mark.parametrize(
    ("caller", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("nonsense", ""),
    ],
)
def test_an_address_of_ipv6_counts_as_its_64(caller: str, counted: str) -> None:
    assert failure_address(RequestFactory().get("/", REMOTE_ADDR=caller)) == counted


def test_ten_wrong_passwords_from_an_ipv6_64_lock_out_all_its_addresses(ada: User) -> None:
    for number in range(10):
        answer = sign_in(Client(REMOTE_ADDR=f"2001:db8:1:2::{number + 1}"), "wrong")
    assert answer.status_code == 429
    assert sign_in(Client(REMOTE_ADDR="2001:db8:1:2:9:9:9:9")).status_code == 429
    neighbour = Client(REMOTE_ADDR="2001:db8:1:3::1")
    sign_in(neighbour)
    assert signed_in(neighbour)
    assert {row.ip_address for row in AccessAttempt.objects.all()} == {"2001:db8:1:2::"}


def test_neither_the_password_nor_the_target_of_a_sign_in_is_stored(ada: User) -> None:
    data = {"login": EMAIL, "password": "wrong-pass", "next": "/accounts/invitations/t0ken/"}
    Client().post(f"{LOGIN}?next=/accounts/invitations/t0ken/", data)
    row = AccessAttempt.objects.get()
    assert "t0ken" not in row.get_data + row.post_data
    assert "wrong-pass" not in row.get_data + row.post_data
