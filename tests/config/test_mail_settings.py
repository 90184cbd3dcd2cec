"""EMAIL_URL and ALERT_PRIVATE_HOSTS; an invalid value stops the start."""

from collections.abc import Callable

import pytest
from django.conf import settings

from config import environment


def test_without_a_mail_server_mail_is_written_to_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMAIL_URL", raising=False)
    assert environment.email()["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend"
    assert environment.from_email() == "Afterclick <afterclick@localhost>"
    assert frozenset() == settings.ALERT_PRIVATE_HOSTS


def test_a_mail_server_is_named_by_one_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://ada:p%40ss@smtp.example.com:587")
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", "Alerts <alerts@example.com>")
    monkeypatch.setenv("ALERT_PRIVATE_HOSTS", "Chat.internal, 10.0.0.5")
    assert environment.email() == {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_FILE_PATH": "",
        "EMAIL_HOST": "smtp.example.com",
        "EMAIL_HOST_PASSWORD": "p@ss",
        "EMAIL_HOST_USER": "ada",
        "EMAIL_PORT": 587,
        "EMAIL_TIMEOUT": 10,
        "EMAIL_USE_TLS": True,
    }
    assert environment.from_email() == "Alerts <alerts@example.com>"
    assert environment.hosts("ALERT_PRIVATE_HOSTS") == {"chat.internal", "10.0.0.5"}


@pytest.mark.parametrize(
    ("read", "name", "value", "problem"),
    [
        (environment.email, "EMAIL_URL", "smtp.example.com", "EMAIL_URL cannot be read"),
        (environment.email, "EMAIL_URL", "smtp://", "EMAIL_URL has no mail server"),
        (environment.from_email, "DEFAULT_FROM_EMAIL", "Afterclick", "DEFAULT_FROM_EMAIL must be an email address"),
    ],
)
def test_a_bad_value_stops_the_boot_with_one_line(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        read()
    assert str(stopped.value).startswith(f"Afterclick cannot start: {problem}")
    assert "\n" not in str(stopped.value)
