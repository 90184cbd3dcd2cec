"""SECRET_KEY_FALLBACKS, AUDIT_LOG_KEPT_DAYS and limits; an invalid value stops the start."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config import environment
from tests import hub

OLD, NEWER = "o" * 50, "n" * 64


def test_nothing_is_set_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY_FALLBACKS", "AUDIT_LOG_KEPT_DAYS"):
        monkeypatch.delenv(name, raising=False)
    assert (environment.secret_key_fallbacks(), environment.audit_log_kept_days()) == ([], None)


def test_former_keys_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", f" {NEWER} ,{OLD},")
    monkeypatch.setenv("AUDIT_LOG_KEPT_DAYS", " 400 ")
    assert (environment.secret_key_fallbacks(), environment.audit_log_kept_days()) == ([NEWER, OLD], 400)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SECRET_KEY_FALLBACKS", f"{OLD},short", "has a key of fewer than 50 characters at position 2"),
        ("AUDIT_LOG_KEPT_DAYS", "0", "must be a number of days from 1 to 36500, or empty for no limit"),
        ("AUDIT_LOG_KEPT_DAYS", "-1", "must be a number of days"),
        ("AUDIT_LOG_KEPT_DAYS", "a year", "must be a number of days"),
        ("AUDIT_LOG_KEPT_DAYS", "٣", "must be a number of days"),
        ("LINK_CLICKS_PER_MINUTE", "many", "'many' is not a number from 0 to 1000000."),
        ("LINK_CLICKS_PER_MINUTE", "-1", "'-1' is not a number from 0 to 1000000."),
    ],
)
def test_a_bad_value_stops_the_start_without_printing_a_key(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    read: Callable[[], object] = getattr(environment, name.lower())
    with pytest.raises(SystemExit) as stopped:
        read()
    assert str(stopped.value).startswith(f"Afterclick cannot start: {name} {problem}")
    assert "short" not in str(stopped.value)
    assert OLD not in str(stopped.value)


def test_sessions_survive_a_change_of_the_key_and_end_without_the_former_one(db: None, settings: Any) -> None:
    ada: Any = hub.user("ada")
    client: Client = hub.signed_in(ada)
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEWER, [former]
    assert client.get("/accounts/").status_code == 200
    other = hub.signed_in(User.objects.get())
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get("/accounts/").status_code == 200  # renewed under the new key as it was used
    assert other.get("/accounts/").status_code == 200
    settings.SECRET_KEY = OLD
    assert client.get("/accounts/").status_code == 302
