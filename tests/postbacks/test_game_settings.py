"""The settings of a game: who reads and changes them, errors, the audit log, and two admins who edit at once."""

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from audience.games import game_settings
from audience.games.keys import NewKey
from audience.models import ExchangeRate, Game, Membership, Role
from postbacks.networks import NETWORKS
from postbacks.reporting.campaigns import rates, settings
from tests import factories, hub

pytestmark = pytest.mark.django_db
REPORTS = {"time_zone": "Asia/Tokyo", "reporting_currency": "EUR", "rates": "usd 0.5\nJPY 0.006"}
# Section -> (what is posted, the columns that it sets).
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "general": ({"name": "Sea Raiders"}, {"name": "Sea Raiders"}),
    "attribution": (
        {"attribution_window_days": "7", "window_tiktok": "28", "window_reddit": "7"},
        {"attribution_window_days": 7, "network_windows": {"tiktok": 28}},
    ),
    "reports": (REPORTS, {"time_zone": "Asia/Tokyo", "reporting_currency": "EUR"}),
}
ELSEWHERE = {"consent": "privacy/consent/", "retention": "privacy/retention/"}
CHANGES |= {
    "consent": ({"unstated": "keep"}, {"strict_consent": True, "limited_data_use": False}),
    "retention": ({"kept_days": "90", "confirmation": "Sky Raiders"}, {"kept_days": 90}),
}


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/settings/"


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def target(game: Game, section: str) -> str:
    return f"/g/{game.slug}/{ELSEWHERE.get(section, f'settings/{section}/')}"


def text_of(answer: Any) -> str:
    return " ".join(hub.normalized_html(answer.content.decode()).split())


def seen(client: Client, game: Game, section: str) -> str:
    """The version that the form of a section has on the page."""
    html = client.get(f"/g/{game.slug}/settings/").content.decode()
    form = html.split(f'action="{target(game, section)}"')[1]
    found = re.search(r'name="seen" value="(\w+)"', form)
    assert found
    return found[1]


def stored(game: Game, names: Any) -> dict[str, Any]:
    game.refresh_from_db()
    return {name: getattr(game, name) for name in names}


def upload(client: Client, game: Game, content: bytes | str, **given: str) -> Any:
    data = content if isinstance(content, bytes) else content.encode()
    file = SimpleUploadedFile("rates.csv", data, content_type="text/csv")
    return client.post(f"/g/{game.slug}/settings/rates/", {"file": file, **given}, follow=True)


def rates_of(game: Game) -> dict[str, Decimal]:
    return dict(ExchangeRate.objects.filter(game=game).values_list("currency", "rate"))


@pytest.mark.parametrize("section", list(CHANGES))
def test_an_admin_changes_each_section_with_one_audit_entry(game: Game, admin: Client, section: str) -> None:
    given, expected = CHANGES[section]
    before = stored(game, expected)
    version = seen(admin, game, section)
    answer = admin.post(target(game, section), {**given, "seen": version, "origin": "game-settings"})

    assert (answer.status_code, answer["Location"]) == (302, f"/g/{game.slug}/settings/#{section}")
    assert stored(game, expected) == expected
    (entry,) = LogEntry.objects.filter(content_type__model__in=("game", "exchangerate")).exclude(action=0)
    changed = {name: [_text(before[name]), _text(value)] for name, value in expected.items() if before[name] != value}
    if section == "reports":
        changed["exchange_rates"] = ["JPY none, USD none", "JPY 0.006, USD 0.5"]
    assert entry.changes == changed
    assert (entry.actor.username, entry.additional_data) == ("admin-of-sky-raiders", {"game": game.pk})


@pytest.mark.parametrize("section", list(CHANGES))
def test_saving_what_is_stored_leaves_no_audit_entry(game: Game, admin: Client, section: str) -> None:
    given = CHANGES[section][0]
    assert admin.post(target(game, section), given).status_code == 302
    before = LogEntry.objects.count()
    assert admin.post(target(game, section), {**given, "confirmation": "Sky Raiders"}).status_code == 302
    assert LogEntry.objects.count() == before


@pytest.mark.parametrize(
    ("section", "changed", "said"),
    [
        ("general", {"name": "First"}, "the name is now “First”."),
        ("attribution", {"attribution_window_days": 1}, "the attribution window is now 1 day."),
        (
            "consent",
            {"limited_data_use": True},
            "conversions of players who never stated a consent level are now sent, and limited data use applies to "
            "every conversion.",
        ),
        ("retention", {"kept_days": 200}, "events are now kept for 200 days."),
        (
            "reports",
            {"time_zone": "Europe/Berlin"},
            "the time zone is now Europe/Berlin, the reporting currency USD, and there are no exchange rates.",
        ),
    ],
)
def test_the_second_of_two_admins_does_not_overwrite_the_first(
    game: Game, admin: Client, section: str, changed: dict[str, Any], said: str
) -> None:
    given, expected = CHANGES[section]
    version = seen(admin, game, section)
    Game.objects.filter(pk=game.pk).update(**changed)
    before = stored(game, expected)
    confirmation = {"confirmation": game.name} if section == "retention" else {}

    answer = admin.post(target(game, section), {**given, **confirmation, "seen": version})
    assert answer.status_code == 200
    text = text_of(answer)
    assert f"Someone else changed this while you were editing: {said} Your change was not saved." in text
    assert stored(game, expected) == before
    assert not LogEntry.objects.filter(content_type__model="game").exclude(action=0).exists()

    # The page has the new version now: saved again, the second replaces the first knowingly.
    html = answer.content.decode()
    form = html.split(f'action="{target(game, section)}"')[1] if section not in ELSEWHERE else html
    again = re.search(r'name="seen" value="(\w+)"', form)
    assert again
    assert again[1] != version
    admin.post(target(game, section), {**given, **confirmation, "seen": again[1]})
    assert stored(game, expected) == expected


def test_an_error_of_a_form_does_not_hide_a_change_by_someone_else(game: Game, admin: Client) -> None:
    version = seen(admin, game, "general")
    game_settings.rename_game(game=game, name="First")
    html = admin.post(target(game, "general"), {"name": " ", "seen": version}).content.decode()
    assert "Enter a name." in html
    assert f'name="seen" value="{version}"' in html


def test_another_section_may_be_changed_at_the_same_time(game: Game, admin: Client) -> None:
    version = seen(admin, game, "general")
    game_settings.set_attribution_windows(game=game, days=3)
    admin.post(target(game, "general"), {"name": "Sea Raiders", "seen": version})
    assert stored(game, ("name", "attribution_window_days")) == {"name": "Sea Raiders", "attribution_window_days": 3}


def test_an_upload_of_rates_is_refused_after_the_reporting_currency_changed(game: Game, admin: Client) -> None:
    version = seen(admin, game, "rates")
    settings.set_report_settings(game=game, time_zone="UTC", reporting_currency="JPY", rates={})
    answer = upload(admin, game, "currency,rate\nEUR,1.08\n", seen=version)
    assert "the reporting currency JPY, and there are no exchange rates." in text_of(answer)
    assert rates_of(game) == {}


@pytest.mark.parametrize(
    ("section", "given", "said"),
    [
        ("general", {"name": ""}, "Enter a name."),
        ("general", {"name": "x" * 101}, "at most 100 characters"),
        ("attribution", {"attribution_window_days": ""}, "Enter 1 to 365 days."),
        ("attribution", {"attribution_window_days": "0"}, "Enter 1 to 365 days."),
        ("attribution", {"attribution_window_days": "366"}, "Enter 1 to 365 days."),
        ("attribution", {"attribution_window_days": "x"}, "Enter a whole number of days."),
        ("attribution", {"attribution_window_days": "7", "window_meta": "0"}, "Enter 1 to 365 days."),
        ("attribution", {"attribution_window_days": "7", "window_other": "366"}, "Enter 1 to 365 days."),
        ("reports", {**REPORTS, "time_zone": "Mars/Base"}, "Select a valid choice"),
        ("reports", {**REPORTS, "reporting_currency": "XYZ"}, "Select a valid choice"),
        ("reports", {**REPORTS, "reporting_currency": "XAU"}, "Select a valid choice"),
        ("reports", {**REPORTS, "rates": "USD\nXYZ 1"}, "Line 1: write a currency and a number, such as EUR 1.08."),
        ("reports", {**REPORTS, "rates": "USD\nXYZ 1"}, "Line 2: XYZ is not a currency code such as EUR."),
        ("reports", {**REPORTS, "rates": "EUR 2"}, "Line 1: EUR is the reporting currency, so its rate is 1."),
        ("reports", {**REPORTS, "rates": "USD 2\nusd 3"}, "Line 2: A second rate for USD."),
        ("reports", {**REPORTS, "rates": "USD NaN"}, "Line 1: write a currency and a number"),
        ("retention", {"kept_days": "30"}, "Keep events for at least 31 days"),
        ("consent", {"unstated": "maybe"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_saved_is_explained_and_changes_nothing(
    game: Game, admin: Client, section: str, given: dict[str, str], said: str
) -> None:
    before = Game.objects.filter(pk=game.pk).values().get()
    answer = admin.post(target(game, section), given)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert Game.objects.filter(pk=game.pk).values().get() == before
    assert rates_of(game) == {}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_other_members_read_the_settings_and_see_who_can_change_them(game: Game, url: str, role: Role) -> None:
    for name in ("zoe", "ann"):
        Membership.objects.create(game=game, user=hub.user(name), role=Role.ADMIN)
    Membership.objects.create(game=game, user=hub.user("gone", is_active=False), role=Role.ADMIN)
    settings.add_rates(game=game, rates={"EUR": Decimal("1.08")})
    client = hub.member(game, role)
    text = text_of(client.get(url))
    assert "can change these settings: ann@studio.example, zoe@studio.example." in text
    assert "<dd>UTC</dd>" in text
    assert "EUR 1.08" in text
    assert "<form method" not in text.split("<main")[1]
    for section, (given, _) in CHANGES.items():
        assert client.post(target(game, section), given).status_code == 403
    assert upload(client, game, rates.SAMPLE).status_code == 403
    assert client.get(url).status_code == 200


def test_a_game_without_an_admin_names_the_administrators(game: Game, url: str) -> None:
    page = text_of(hub.member(game, Role.VIEWER).get(url))
    assert "This game has no admin. An administrator of the installation can change these settings." in page


def test_the_slug_is_shown_and_cannot_be_changed(game: Game, url: str, admin: Client) -> None:
    assert f"<code>{game.slug}</code>" in text_of(admin.get(url))
    admin.post(f"{url}general/", {"name": "Sea Raiders", "slug": "other"})
    assert stored(game, ("name", "slug")) == {"name": "Sea Raiders", "slug": "sky-raiders"}


def test_every_network_that_clicks_are_of_is_listed_with_its_window(game: Game, url: str, viewer: Client) -> None:
    game_settings.set_attribution_windows(game=game, days=28, network_days={"reddit": 7, "tiktok": 28})
    text = text_of(viewer.get(url))
    labels = [network.label for network in NETWORKS.values() if network.click_param]
    for label in (*labels, "Amazon", "Another ad network"):
        days = 7 if label == "Reddit Ads" else 28
        cell = f'<td data-label="Window" class="number">{days} days</td>'
        assert f'<td data-label="Ad network">{label}</td>{cell}' in text
    assert "the last paid click in the 7 to 28 days (depending on the ad network) before it." in text_of(
        viewer.get(f"/g/{game.slug}/")
    )


def test_the_window_of_a_click_is_explained_by_its_network(game: Game, viewer: Client) -> None:
    player = factories.person(game, user="ada")
    for network, days in (("tiktok", 3), ("reddit", 5)):
        factories.touch(player, network=network, clicked_at=timezone.now() - timedelta(days=days, hours=1))
    conversion = factories.conversion(player, reason="outside_window")
    game_settings.set_attribution_windows(game=game, days=2, network_days={"reddit": 4})
    text = text_of(viewer.get(f"/g/{game.slug}/conversions/{conversion.pk}/"))
    assert ("Outside the 2-day window" in text, "Outside the 4-day window" in text) == (True, True)


def test_uploaded_rates_replace_those_of_their_currencies(game: Game, admin: Client) -> None:
    settings.add_rates(game=game, rates={"EUR": Decimal(2), "JPY": Decimal("0.006")})
    LogEntry.objects.all().delete()
    content = "\ufeffCurrency;Rate\neur;1,08\nCHF;1.1\nUSD;1\n\n"
    assert "2 exchange rates are saved." in text_of(upload(admin, game, content))
    assert rates_of(game) == {"EUR": Decimal("1.08"), "JPY": Decimal("0.006"), "CHF": Decimal("1.1")}
    (entry,) = LogEntry.objects.all()
    assert entry.changes == {"exchange_rates": ["CHF none, EUR 2", "CHF 1.1, EUR 1.08"]}
    log = text_of(admin.get(f"/g/{game.slug}/audit-log/"))
    assert "Exchange rates" in log
    assert "CHF 1.1, EUR 1.08" in log


def test_the_sample_of_rates_can_be_uploaded(game: Game, admin: Client) -> None:
    sample = admin.get(f"/g/{game.slug}/settings/rates/sample/")
    assert sample["Content-Disposition"] == 'attachment; filename="exchange-rates-sample.csv"'
    upload(admin, game, sample.content)
    assert rates_of(game) == {"EUR": Decimal("1.08"), "JPY": Decimal("0.0064")}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("EUR,1.08\n", "Line 1: The first line must name the columns: currency,rate."),
        ("currency,rate\n", "The file has no rates."),
        ("currency,rate\nEUR,much\n\nXYZ,1\n", "Line 2: write a currency and a number, such as EUR 1.08."),
        ("currency,rate\nEUR,much\n\nXYZ,1\n", "Line 4: XYZ is not a currency code such as EUR."),
        ("currency,rate\nEUR,1\nEUR,2\n", "Line 3: A second rate for EUR."),
        ("currency,rate\nUSD,2\n", "Line 2: USD is the reporting currency, so its rate is 1."),
        ("currency,rate\nEUR\n", "Line 2: write a currency and a number"),
        (b"currency,rate\nEUR,\xff\n", "The file is not in UTF-8."),
        (b"", "The file is empty."),
        ("currency,rate\n" + "EUR,1\n" * 1000, "The file has more than 1,000 lines."),
        ("currency,rate\n" + "XYZ,1\n" * 60, "And 10 more."),
        ("x" * 100_001, "The file is larger than 100 KB."),
    ],
)
def test_a_file_with_an_error_stores_no_rate(game: Game, admin: Client, content: bytes | str, said: str) -> None:
    assert said in upload(admin, game, content).content.decode()
    assert rates_of(game) == {}


def test_a_file_is_required(game: Game, admin: Client) -> None:
    answer = admin.post(f"/g/{game.slug}/settings/rates/", {})
    assert "Choose a file." in answer.content.decode()


def test_rates_that_are_left_out_of_the_form_are_removed(game: Game) -> None:
    settings.add_rates(game=game, rates={"EUR": Decimal(2), "JPY": Decimal("0.006")})
    settings.set_report_settings(game=game, time_zone="UTC", reporting_currency="USD", rates={"EUR": Decimal(2)})
    assert rates_of(game) == {"EUR": Decimal(2)}
    entry = LogEntry.objects.latest("pk")
    assert entry.changes == {"exchange_rates": ["JPY 0.006", "JPY none"]}


def test_the_services_refuse_what_the_forms_refuse(game: Game) -> None:
    with pytest.raises(ValueError, match="1 to 100 characters"):
        game_settings.rename_game(game=game, name=" ")
    with pytest.raises(ValueError, match="1 to 365 days"):
        game_settings.set_attribution_windows(game=game, days=0)
    with pytest.raises(ValueError, match="no such time zone"):
        settings.set_report_settings(game=game, time_zone="Mars/Base", reporting_currency="USD", rates={})
    with pytest.raises(ValueError, match="no such time zone or currency"):
        settings.set_report_settings(game=game, time_zone="UTC", reporting_currency="XYZ", rates={})
    game.refresh_from_db()
    assert (game.name, game.attribution_window_days, game.time_zone) == ("Sky Raiders", 28, "UTC")


def test_a_shorter_retention_is_confirmed_and_leads_back_to_the_settings(
    game: Game, admin: Client, key: NewKey
) -> None:
    version = seen(admin, game, "retention")
    given = {"kept_days": "90", "seen": version, "origin": "game-settings"}
    page = text_of(admin.post(target(game, "retention"), given))
    day = timezone.now().date() - timedelta(days=90)
    assert "No event is older than that today." in page
    assert f"{day.day}, {day.year}" in page
    assert f'href="/g/{game.slug}/settings/">Cancel' in page
    assert f'name="seen" value="{version}"' in page
    assert stored(game, ("kept_days",)) == {"kept_days": None}


def test_a_form_that_is_kept_for_the_next_session_keeps_what_its_editor_saw(game: Game) -> None:
    cache.clear()
    person: Any = hub.user("ada")
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    first = hub.signed_in(person)
    version = seen(first, game, "general")
    client = Client()
    client.post(target(game, "general"), {"name": "Sea Raiders", "seen": version})
    game_settings.rename_game(game=game, name="First")
    client.post("/accounts/login/", {"login": "ada@studio.example", "password": hub.PASSWORD})
    html = client.get(f"/g/{game.slug}/settings/").content.decode()
    assert 'value="Sea Raiders"' in html
    assert f'name="seen" value="{version}"' in html


def test_another_time_zone_is_named_as_that_of_the_game_in_the_audit_log(game: Game, admin: Client) -> None:
    admin.post(target(game, "reports"), REPORTS)
    log = text_of(admin.get(f"/g/{game.slug}/audit-log/"))
    assert "Asia/Tokyo" in log
    assert "Time zone of the ad account" not in log


def test_a_conversion_that_was_decided_keeps_its_click_under_a_shorter_window(game: Game) -> None:
    person = factories.person(game, user="ada")
    touch = factories.touch(person, clicked_at=timezone.now() - timedelta(days=10))
    conversion = factories.conversion(person, touch=touch)
    game_settings.set_attribution_windows(game=game, days=1)
    conversion.refresh_from_db()
    assert conversion.touch == touch
