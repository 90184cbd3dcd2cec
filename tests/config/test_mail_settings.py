"""The mail server and the hooks' exceptions come from the environment; a bad value stops the boot."""

from pathlib import Path

import pytest

from config import environment


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A folder without a .env."""
    return tmp_path


def test_without_a_mail_server_mail_is_written_to_the_output(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMAIL_URL", raising=False)
    found = environment.read(nowhere)
    assert found.email["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend"
    assert (found.from_email, found.alert_private_hosts) == ("Afterclick <afterclick@localhost>", frozenset())


def test_a_mail_server_is_named_by_one_url(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://ada:p%40ss@smtp.example.com:587")
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", "Alerts <alerts@example.com>")
    monkeypatch.setenv("ALERT_PRIVATE_HOSTS", "Chat.internal, 10.0.0.5")
    found = environment.read(nowhere)
    assert found.email == {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_FILE_PATH": "",
        "EMAIL_HOST": "smtp.example.com",
        "EMAIL_HOST_PASSWORD": "p@ss",
        "EMAIL_HOST_USER": "ada",
        "EMAIL_PORT": 587,
        "EMAIL_TIMEOUT": 10,
        "EMAIL_USE_TLS": True,
    }
    assert found.from_email == "Alerts <alerts@example.com>"
    assert found.alert_private_hosts == {"chat.internal", "10.0.0.5"}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("EMAIL_URL", "smtp.example.com", "EMAIL_URL cannot be read"),
        ("EMAIL_URL", "smtp://", "EMAIL_URL names no mail server"),
        ("DEFAULT_FROM_EMAIL", "Afterclick", "DEFAULT_FROM_EMAIL must be an email address"),
    ],
)
def test_a_bad_value_stops_the_boot_with_one_line(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        environment.read(nowhere)
    assert str(stopped.value).startswith(f"Afterclick cannot start: {problem}")
    assert "\n" not in str(stopped.value)
