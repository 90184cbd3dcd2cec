"""Creating, rotating and revoking API keys; secret keys are stored as hashes only."""

import hashlib
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.games.keys import (
    MAX_OVERLAP,
    KeyRefused,
    NewKey,
    Restrictions,
    change_key,
    create_key,
    key_value,
    revoke_key,
    rotate_key,
)
from audience.intake.requests import auth
from audience.intake.requests.auth import find_expired_key, find_key
from audience.models import ApiKey, Dialect, Environment, Game, KeyKind

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, tzinfo=UTC)


@pytest.fixture
def believing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the product: other tests change keys behind the back of audience/games/keys.py."""
    monkeypatch.setattr(auth, "KEY_CACHE_SECONDS", 1.0)


@pytest.mark.parametrize(
    ("kind", "environment", "start"),
    [
        (KeyKind.PUBLISHABLE, Environment.PRODUCTION, "pk_imapik-"),
        (KeyKind.PUBLISHABLE, Environment.SANDBOX, "pk_imapik-test-"),
        (KeyKind.SECRET, Environment.PRODUCTION, "sk_imapik-"),
        (KeyKind.SECRET, Environment.SANDBOX, "sk_imapik-test-"),
    ],
)
def test_the_value_of_a_key_shows_its_kind_and_environment(
    game: Game, kind: KeyKind, environment: Environment, start: str
) -> None:
    made = create_key(game=game, name="backend", kind=kind, environment=environment)

    assert re.fullmatch(re.escape(start) + "[0-9a-f]{40}", made.value)
    assert made.value.startswith(made.key.prefix)
    assert (made.key.name, made.key.kind, made.key.environment, made.key.is_live) == (
        "backend",
        kind,
        environment,
        True,
    )
    assert made.key.is_sandbox == (environment == Environment.SANDBOX)
    assert find_key(made.value, kinds=(kind,)) == made.key


def test_generated_keys_are_unique(game: Game) -> None:
    assert len({create_key(game=game, name="k").value for _ in range(100)}) == 100


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_key_has_a_dialect(game: Game, dialect: Dialect) -> None:
    assert create_key(game=game, name="k", dialect=dialect).key.dialect == dialect
    assert create_key(game=game, name="k").key.dialect == Dialect.IMMUTABLE


def test_only_prefix_and_digest_of_a_secret_key_are_stored(secret_key: NewKey) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{secret_key.value}%"])
            assert cursor.fetchone()[0] == 0
    stored = ApiKey.objects.get()
    assert stored.digest == hashlib.sha256(secret_key.value.encode()).hexdigest()
    assert stored.value == ""
    assert len(secret_key.value) - len(stored.prefix) >= 18


def test_a_publishable_key_is_stored_and_shown(key: NewKey) -> None:
    assert ApiKey.objects.get().value == key.value


def test_text_forms_of_a_key_leave_out_the_secret(secret_key: NewKey) -> None:
    assert secret_key.value not in f"{secret_key} {secret_key!r} {secret_key.key} {secret_key.key!r}"


@pytest.mark.parametrize("value", ["", "sk_imapik-unknown", "pk_imapik-\ud83d", "ünïcode", "x" * 10_000])
def test_an_unknown_value_finds_nothing(key: NewKey, value: str) -> None:
    assert find_key(value, kinds=(KeyKind.PUBLISHABLE,)) is None


def test_a_key_is_found_as_its_own_kind_only(key: NewKey, secret_key: NewKey) -> None:
    assert find_key(key.value, kinds=(KeyKind.SECRET,)) is None
    assert find_key(secret_key.value, kinds=(KeyKind.PUBLISHABLE,)) is None
    assert find_key(key.value.upper(), kinds=(KeyKind.PUBLISHABLE,)) is None


# Rotation


def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(sandbox_key: NewKey) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        successor = rotate_key(key=sandbox_key.key, overlap=timedelta(hours=1))
        assert sandbox_key.key.expires_at == NOW + timedelta(hours=1)
        assert find_key(sandbox_key.value, kinds=(KeyKind.PUBLISHABLE,)) == sandbox_key.key

        clock.move_to(NOW + timedelta(minutes=59, seconds=59))
        assert find_key(sandbox_key.value, kinds=(KeyKind.PUBLISHABLE,)) == sandbox_key.key
        assert sandbox_key.key.is_live
        clock.move_to(NOW + timedelta(hours=1))
        assert find_key(sandbox_key.value, kinds=(KeyKind.PUBLISHABLE,)) is None
        assert not sandbox_key.key.is_live
        assert find_key(successor.value, kinds=(KeyKind.PUBLISHABLE,)) == successor.key


def test_a_successor_has_the_settings_of_its_predecessor(game: Game) -> None:
    old = create_key(
        game=game, name="k", kind=KeyKind.SECRET, environment=Environment.SANDBOX, dialect=Dialect.METAROUTER
    )
    new = rotate_key(key=old.key, overlap=timedelta(0))

    assert (new.key.game, new.key.name, new.key.kind, new.key.environment, new.key.dialect) == (
        game,
        "k",
        KeyKind.SECRET,
        Environment.SANDBOX,
        Dialect.METAROUTER,
    )
    assert new.value != old.value
    assert new.key.expires_at is None
    assert ApiKey.objects.get(pk=old.key.pk).replaced_by == new.key


@pytest.mark.parametrize("overlap", [timedelta(0), MAX_OVERLAP])
def test_an_overlap_is_0_to_7_days(key: NewKey, overlap: timedelta) -> None:
    with time_machine.travel(NOW, tick=False):
        rotate_key(key=key.key, overlap=overlap)

    assert ApiKey.objects.get(pk=key.key.pk).expires_at == NOW + overlap
    assert timedelta(days=7) == MAX_OVERLAP


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_another_overlap_is_refused_and_no_key_is_made(key: NewKey, overlap: timedelta) -> None:
    with pytest.raises(ValueError, match="0 to 7 days"):
        rotate_key(key=key.key, overlap=overlap)

    (unchanged,) = ApiKey.objects.all()
    assert (unchanged.expires_at, unchanged.replaced_by) == (None, None)


# Revocation


def test_a_revoked_key_is_refused_at_once_and_keeps_its_first_revocation_time(key: NewKey) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        revoke_key(key=key.key)
        assert find_key(key.value, kinds=(KeyKind.PUBLISHABLE,)) is None
        clock.shift(timedelta(days=1))
        revoke_key(key=ApiKey.objects.get())

    assert ApiKey.objects.get().revoked_at == NOW
    assert not key.key.is_live


def test_revoking_a_key_ends_its_overlap_and_leaves_its_successor(key: NewKey) -> None:
    successor = rotate_key(key=key.key, overlap=timedelta(days=1))
    revoke_key(key=key.key)

    assert [row.pk for row in ApiKey.objects.live()] == [successor.key.pk]
    assert timezone.now() < key.key.expires_at


def test_a_rotated_key_keeps_its_rate_limit(game: Game) -> None:
    key = create_key(game=game, name="busy", rate_limit=50).key
    assert rotate_key(key=key, overlap=timedelta(0)).key.rate_limit == 50


def test_a_key_that_ended_or_was_rotated_is_not_rotated(game: Game) -> None:
    rotated, revoked = create_key(game=game, name="one").key, create_key(game=game, name="two").key
    rotate_key(key=rotated, overlap=timedelta(days=1))
    revoke_key(key=revoked)
    for key, refusal in ((rotated, "was rotated already"), (revoked, "no longer works")):
        with pytest.raises(KeyRefused, match=refusal):
            rotate_key(key=key, overlap=timedelta(0))
    assert ApiKey.objects.count() == 3


# Looked up once a second


def test_a_process_looks_up_a_repeated_key_once(game: Game, believing: None) -> None:
    made = create_key(game=game, name="k")
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))

    with CaptureQueriesContext(connection) as asked:
        assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,)) == made.key
        assert find_key(made.value, kinds=(KeyKind.SECRET,)) is None
    assert len(asked) == 0


def test_a_key_revoked_by_another_process_works_for_a_second_at_most(
    game: Game, believing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_key(game=game, name="k")
    assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    ApiKey.objects.update(revoked_at=timezone.now())
    later = time.monotonic() + 1.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: later)

    assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,)) is None


def test_a_key_revoked_or_rotated_here_ends_at_once(game: Game, believing: None) -> None:
    revoked, rotated = create_key(game=game, name="a"), create_key(game=game, name="b")
    for made in (revoked, rotated):
        assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    revoke_key(key=revoked.key)
    rotate_key(key=rotated.key, overlap=timedelta(0))

    assert [find_key(made.value, kinds=(KeyKind.PUBLISHABLE,)) for made in (revoked, rotated)] == [None, None]


def test_an_overlap_ends_on_time_also_for_a_cached_key(game: Game, believing: None) -> None:
    made = create_key(game=game, name="k")
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(seconds=1.5))
    assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    time.sleep(1.6)
    assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,)) is None


def test_a_new_key_works_at_once(game: Game, believing: None) -> None:
    value = key_value(KeyKind.PUBLISHABLE, Environment.PRODUCTION, "f" * 40)
    assert find_key(value, kinds=(KeyKind.PUBLISHABLE,)) is None
    create_key(game=game, name="k", entropy="f" * 40)

    assert find_key(value, kinds=(KeyKind.PUBLISHABLE,))


def test_a_process_caches_a_bounded_number_of_keys(
    game: Game, believing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "MAX_CACHED_KEYS", 3)
    for made in [create_key(game=game, name="k") for _ in range(8)]:
        assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    assert len(auth._cache) <= 3


def test_an_unknown_value_is_looked_up_once(game: Game) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert find_key("pk_imapik-unknown") is None
        assert find_expired_key("pk_imapik-unknown") is None
    assert len(asked) == 1


def test_a_change_that_began_before_a_rotation_leaves_the_old_key_its_end(game: Game) -> None:
    made = create_key(game=game, name="backend", restrictions=Restrictions(events=["level_up"]))
    stale = ApiKey.objects.get(pk=made.key.pk)
    rotate_key(key=made.key, overlap=timedelta(hours=1))
    change_key(key=stale, name="backend", restrictions=Restrictions())

    old = ApiKey.objects.get(pk=made.key.pk)
    assert old.replaced_by_id is not None
    assert old.expires_at == made.key.expires_at


def test_a_rotation_that_began_before_a_change_carries_the_change_over(game: Game) -> None:
    made = create_key(game=game, name="backend")
    stale = ApiKey.objects.get(pk=made.key.pk)
    change_key(key=made.key, name="backend", restrictions=Restrictions(events=["level_up"]))
    assert rotate_key(key=stale, overlap=timedelta(hours=1)).key.allowed_events == ["level_up"]
