"""Credentials at rest: encrypted under the first key, readable under any, never printed."""

import json
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.core.serializers import serialize
from django.db import connection

from audience.database.encryption import decrypt, encrypt, reencrypt
from audience.models import Game
from postbacks.models import AlertHook, PostbackConfig
from postbacks.models.fields import SecretDict
from tests import factories

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKEN = "a-secret-token-of-the-test"


def ciphertext() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT credential FROM postbacks_postbackconfig")
        return str(cursor.fetchone()[0])


def test_an_encrypted_value_is_unreadable_until_it_is_decrypted() -> None:
    encrypted = encrypt({"token": TOKEN})
    assert TOKEN not in encrypted
    assert decrypt(encrypted) == {"token": TOKEN}


def test_every_key_decrypts_and_the_first_one_encrypts(settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [OLD]
    encrypted = encrypt(TOKEN)
    settings.CREDENTIAL_KEYS = [NEW, OLD]
    assert decrypt(encrypted) == TOKEN
    assert json.loads(Fernet(NEW).decrypt(reencrypt(encrypted).encode())) == TOKEN


def test_decrypting_without_the_key_is_a_validation_error(settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [OLD]
    encrypted = encrypt(TOKEN)
    settings.CREDENTIAL_KEYS = [NEW]
    with pytest.raises(ValidationError, match="No key in CREDENTIAL_KEYS"):
        decrypt(encrypted)


def test_a_secret_mapping_prints_its_names_but_no_value() -> None:
    secret = SecretDict(token=TOKEN)
    assert (repr(secret), str(secret), f"{secret}") == ("SecretDict(token=…)",) * 3


@pytest.mark.django_db
def test_the_field_stores_ciphertext_and_returns_the_mapping(game: Game) -> None:
    config = factories.config(game, credential={"token": TOKEN})
    assert TOKEN not in ciphertext()
    config.refresh_from_db()
    assert config.credential == {"token": TOKEN}
    assert TOKEN not in repr(config.credential)
    assert TOKEN not in serialize("json", [config])


@pytest.mark.django_db
def test_a_row_whose_key_is_lost_can_be_read_and_saved_without_losing_it(game: Game, settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [OLD]
    factories.config(game, credential={"token": TOKEN})
    before = ciphertext()
    settings.CREDENTIAL_KEYS = [NEW]
    config = PostbackConfig.objects.get()
    assert config.credential == {}
    config.enabled = False
    config.save()
    assert ciphertext() == before
    config.credential = {"token": "a new one"}
    config.save()
    config.refresh_from_db()
    assert config.credential == {"token": "a new one"}


def rotate() -> str:
    out = StringIO()
    call_command("rotate_credential_keys", stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_rotation_puts_every_credential_under_the_first_key_and_may_run_twice(game: Game, settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [OLD]
    config = factories.config(game, credential={"token": TOKEN})
    factories.config(game, network="reddit", credential={}, previous_credential={"token": TOKEN})
    earlier = {"2030-01-01T00:00:00+00:00": TOKEN}
    secrets = {"secret": {"key": TOKEN}, "previous_secrets": earlier}
    hook = AlertHook.objects.create(game=game, url="https://chat.example/", **secrets)
    settings.CREDENTIAL_KEYS = [NEW, OLD]
    assert rotate().splitlines() == [
        "postbacks: 1 re-encrypted, 0 already under the first key, 0 unreadable",
        "credentials before a rotation: 1 re-encrypted, 0 already under the first key, 0 unreadable",
        "checks: 0 re-encrypted, 0 already under the first key, 0 unreadable",
        "alert hooks: 1 re-encrypted, 0 already under the first key, 0 unreadable",
        "alert hooks before a rotation: 1 re-encrypted, 0 already under the first key, 0 unreadable",
        "keys of receipts: 0 re-encrypted, 0 already under the first key, 0 unreadable",
        "second factors: 0 re-encrypted, 0 already under the first key, 0 unreadable",
    ]
    assert rotate().startswith("postbacks: 0 re-encrypted, 1 already under the first key, 0 unreadable")
    settings.CREDENTIAL_KEYS = [NEW]
    config.refresh_from_db()
    assert config.credential == {"token": TOKEN}
    hook.refresh_from_db()
    assert (hook.secret, hook.previous_secrets) == ({"key": TOKEN}, earlier)


@pytest.mark.django_db
def test_rotation_leaves_and_reports_what_it_cannot_decrypt(game: Game, settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [OLD]
    factories.config(game, credential={"token": TOKEN})
    before = ciphertext()
    settings.CREDENTIAL_KEYS = [NEW]
    with pytest.raises(CommandError, match="None of CREDENTIAL_KEYS decrypts 1 of them"):
        rotate()
    assert ciphertext() == before
