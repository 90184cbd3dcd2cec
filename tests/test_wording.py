"""The texts of every page, mail and CSV: one format for dates, amounts and articles, and no banned phrase."""

import ast
import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import allauth
import pytest
from allauth.core import context as allauth_context
from django.conf import settings
from django.core import mail
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone as django_timezone

from audience.accounts import addresses, members
from audience.accounts import mail as account_mail
from audience.models import Game, Membership, Role
from audience.wording import dates
from audience.wording.articles import with_article
from config.accounts import InvitedOnlyAdapter
from postbacks.models import Alert, AlertEnding, Notice, NoticeKind, PostbackConfig, ServerTrouble
from postbacks.monitoring.alerts import notices
from postbacks.monitoring.server import mail as server_mail
from postbacks.networks import NETWORKS
from tests import banned_phrases, factories, hub, reading
from tests.browser import operators, pages, rows

AT = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)

# Dates ------------------------------------------------------------------------------------------------------------

MONTHS = "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
MONTHS += "|Nov(?:ember)?|Dec(?:ember)?"
OTHER_DATES = re.compile(
    rf"\b\d{{4}}-\d\d-\d\d\b|\b\d\d?/\d\d?/\d\d(?:\d\d)?\b|\b\d\d?(?:st|nd|rd|th)? (?:{MONTHS})\b"
    rf"|\b(?:January|February|March|April|June|July|August|September|October|November|December) \d"
    rf"|\b(?:{MONTHS})\. \d|\b\d\d? ?[ap]\.?m\b\.?|\b(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec) 0\d"
)


@pytest.mark.parametrize(
    ("text", "is_other"),
    [
        ("Mar 1, 2026, 04:05 UTC", False),
        ("Sun, Mar 1, 2026", False),
        ("in May a", False),
        ("2026-03-01 04:05", True),
        ("1 Mar, 04:05", True),
        ("Sun 1 March", True),
        ("March 1", True),
        ("Nov. 1, 2026", True),
        ("Nov 01", True),
        ("3/1/26", True),
        ("4:05 p.m.", True),
    ],
)
def test_other_formats_of_dates_are_found(text: str, is_other: bool) -> None:
    assert bool(OTHER_DATES.search(text)) is is_other


def test_a_date_has_one_format() -> None:
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    assert [dates.moment(AT), dates.moment(tokyo)] == ["Mar 1, 2026, 04:05 UTC"] * 2
    assert dates.exact(tokyo) == "Mar 1, 2026, 04:05:06 UTC"
    assert dates.day(datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=9)))) == "Feb 28, 2026"
    assert (dates.day(date(2026, 12, 31)), dates.short_day(AT), dates.weekday(AT)) == (
        "Dec 31, 2026",
        "Mar 1",
        "Sun, Mar 1, 2026",
    )


def test_djangos_own_pages_have_the_same_format() -> None:
    context = Context({"at": AT})
    assert Template("{{ at }} {{ at|date }}").render(context) == "Mar 1, 2026, 04:05:06 Mar 1, 2026"


# Articles ---------------------------------------------------------------------------------------------------------

WRONG_ARTICLE = re.compile(
    r"\b[Aa] (?!one\b|once\b|eu)[aeio][a-z]+|\b[Aa]n (?!hour|honest|heir|fbclid)[bcdfgjklmnpqrstvwyz][a-z]+"
)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("access token", "an access token"),
        ("pixel code", "a pixel code"),
        ("X Ads", "an X Ads"),
        ("SDK", "an SDK"),
        ("URL", "a URL"),
        ("ID", "an ID"),
        ("HTTP call", "an HTTP call"),
        ("user", "a user"),
        ("unit", "a unit"),
        ("hour", "an hour"),
        ("admin", "an admin"),
        ("Outbrain click", "an Outbrain click"),
        ("API key", "an API key"),
        ("Meta Ads", "a Meta Ads"),
    ],
)
def test_the_article_follows_the_sound(label: str, expected: str) -> None:
    assert with_article(label) == expected


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_every_label_of_a_network_has_its_article(game: Game, kind: str) -> None:
    config = factories.config(game, network=kind)
    client, base = hub.member(game, Role.MARKETER), f"/g/{game.slug}/integrations/{kind}/"
    wrong = {"pixel_id": "<b>", "credential": "ä b", "triggers": ["purchase"]}
    wrong |= {part.form_name: "ä b" for part in NETWORKS[kind].credential_fields}
    found = [client.get(base), client.get(f"{base}add/"), client.get(f"{base}{config.pk}/edit/"), client.get("/g/x/")]
    found += [client.post(f"{base}add/", wrong), client.post(f"{base}{config.pk}/edit/", wrong)]
    said = [text for answer in found for text in reading.texts(answer.content.decode())]
    assert [text for text in said if WRONG_ARTICLE.search(text)] == []
    label = NETWORKS[kind].credential_label.lower()
    assert any(text.startswith(f"{'An' if label[0] in 'aeiou' else 'A'} {label} is stored") for text in said)
    if NETWORKS[kind].label.startswith("X"):
        assert not any(" a X " in text for text in said)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_a_refusal_names_the_roles_with_their_articles(game: Game, role: Role) -> None:
    page = hub.member(game, role).get(f"/g/{game.slug}/keys/new/").content.decode()
    assert f"You are a {role.value} of Sky Raiders. This page requires an admin." in page


# Every page -------------------------------------------------------------------------------------------------------

WRONG_AMOUNT = re.compile(r"\d\.\d+ (?:JPY|KRW)\b|\d\.\d{2} KWD\b|\b\d[\d,]*\.\d{4,}\b")


def every_page(game: Game) -> dict[str, tuple[Client, str]]:
    """Every page of the site, with rows of yen and dinars on those of conversions."""
    person: Any = hub.user("operator", is_staff=True, is_superuser=True)
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    rows.fill(game)
    operators.fill(game, person)
    config = PostbackConfig.objects.kept().filter(game=game, network=pages.NETWORK).first()
    assert config is not None
    paid = []
    for value, currency in (("1200", "JPY"), ("9.995", "KWD"), ("5", "USD")):
        player = factories.person(game, user=f"payer-{currency}")
        sums = {"value": Decimal(value), "currency": currency, "properties": {}}
        click = factories.touch(player, network=config.network)
        bought = factories.conversion(player, touch=click, fanned_out_at=django_timezone.now(), **sums)
        factories.delivery(config, conversion=bought, state="delivered")
        paid.append(bought)
    client, stranger = hub.signed_in(person), Client()
    # The documents of docs/ have dates of other products' formats.
    found = {name: url for name, url in pages.hub(game).items() if not name.startswith("help")}
    found |= (
        {f"payer-{row.currency}": f"/g/{game.slug}/conversions/{row.pk}/" for row in bought.game.conversion_set.all()}
        if hasattr(game, "conversion_set")
        else {}
    )
    # The rows of these two name themselves, and may not be changed.
    admin = {name: url for name, url in pages.admin_site(client).items() if not name.startswith(("axes_", "auditlog_"))}
    found |= {**pages.account(client), **admin}
    signed_out = {f"signed-out-{name}": (stranger, url) for name, url in pages.account(stranger).items()}
    return {**{name: (client, url) for name, url in found.items()}, **signed_out}


@pytest.mark.long
def test_dates_amounts_and_articles_are_right_on_every_page(game: Game, other_game: Game) -> None:
    found = every_page(game)
    assert len(found) > 120
    wrong, amounts = [], set()
    for name, (client, url) in found.items():
        for text in reading.texts(client.get(url, follow=True).content.decode()):
            amounts |= set(re.findall(r"[\d.,]+ (?:JPY|KWD)", text))
            wrong += [f"{name}: {text[:160]}" for rule in RULES if rule.search(text)]
    assert "\n".join(wrong) == ""
    assert {"1,200 JPY", "9.995 KWD"} <= amounts


RULES = (OTHER_DATES, WRONG_ARTICLE, WRONG_AMOUNT)

# Phrases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Digest lag", "Processing delay"),
        ("Every event is looked at", "All events processed"),
        ("It is well again", "Back to normal"),
        ("How far they came", "Funnel"),
        ("54 % of the step before", "54% of previous step"),
        ("The same as a table", "View as table"),
        ("Rehearsal", "Test and preview"),
        ("Called off", "Canceled"),
        ("Tell me of alerts", "Email me about alerts"),
        ("Look into your mail", "Check your email"),
        ("Whose words the shared routes answer in", "Response format on shared routes"),
        ("On how many events", "Coverage"),
        ("Worth", "Points"),
        ("the old one is kept for 24 hours, to go back to", "you can roll back for 24 hours"),
        ("what stands around it", "the batch envelope"),
        ("of two words at one moment the greater stays", "ties are broken by value"),
        ("the desk", "network drain"),
        ("lanes", "worker threads"),
        ("rows land here", "rows on the landing page"),
        ("people are told", "members are notified"),
        ("house", "package"),
        ("rooms", "folders"),
        ("asks for part of it", "is_partial_request"),
        ("colour", "color"),
        ("behaviour", "behavior"),
        ("cancelled", "canceled"),
        ("organisation", "organization"),
        ("not recognised", "not recognized"),
        ("optimise", "optimize"),
        ("licenced", "licensed"),
        ("{} % of sends failed", "{}% of sends failed"),
    ],
)
def test_a_banned_phrase_is_found_and_the_better_one_is_not(wrong: str, right: str) -> None:
    assert banned_phrases.problems(wrong) != []
    assert banned_phrases.problems(wrong.upper()) != []
    assert banned_phrases.problems(right) == []


def test_the_texts_of_a_module_are_those_that_its_users_read() -> None:
    module = ast.parse(
        '@figure("Sent")\ndef sent():\n    """Of the page."""\n    return f"{x} % of all"\n'
        '# Comment\ndef other():\n    """Docstring."""\n    return "One " "text"\n'
    )
    found = {text for _, text in banned_phrases.python_strings(module)}
    assert found == {"Sent", "Of the page.", "\x00 % of all", "One text"}


def test_a_tag_of_a_template_is_on_one_line() -> None:
    """Django shows a tag with a line break as text."""
    broken = re.compile(r"\{[{%](?:(?![}%]\}).)*\n", re.DOTALL)
    templates = [path for path in OWN.rglob("*.*") if broken.search(re.sub(r"\{[{%].*?[}%]\}", "", path.read_text()))]
    assert templates == []


def test_no_text_of_the_product_has_a_banned_phrase() -> None:
    found = list(banned_phrases.texts())
    places = {place.partition(":")[0] for place, _ in found}
    assert {"templates/base.html", "templates/mail/invitation.txt", "docs/goals.md", "README.md"} <= places
    assert {"postbacks/reporting/figures.py", "postbacks/outbox/reasons.py", "CHANGELOG.md"} <= places
    wrong = [f"{place}: {problem}" for place, text in found for problem in banned_phrases.problems(text)]
    assert "\n".join(wrong) == ""


# Mails ------------------------------------------------------------------------------------------------------------

ALLAUTH = Path(allauth.__file__).parent / "templates"
OWN = Path(settings.BASE_DIR) / "templates"
# Templates of allauth that no page of ours renders: features that are off, and layouts without words.
UNUSED = re.compile(
    r"socialaccount/|openid/|idp/|allauth/|account/base_|mfa/base_|mfa/\w+/base|usersessions/base_"
    r"|account/(?:email|email_change|email_confirm|signup|signup_by_passkey|verified_email_required|verification_sent"
    r"|phone_change|request_login_code|confirm_\w+)\.html|account/snippets/|mfa/trust\.html|mfa/webauthn/signup_form"
    r"|mfa/webauthn/snippets/|mfa/recovery_codes/download\.txt"
    r"|account/email/(?:email_|unknown_account|account_already_exists|login_code|password_reset_code)"
    r"|account/messages/(?:cannot_delete|email_|unverified_|primary_email|phone_|login_code)"
)


def test_every_page_mail_and_message_of_allauth_is_our_own() -> None:
    names = {path.relative_to(ALLAUTH).as_posix() for path in ALLAUTH.rglob("*") if path.is_file()}
    foreign = {name for name in names if not UNUSED.match(name) and not (OWN / name).exists()}
    assert len(names) > 100
    assert foreign == set()
    assert (OWN / "429.html").exists()


def account_notices() -> list[str]:
    """The prefix of each mail of allauth about a change of an account."""
    found = [*(OWN / "account/email").glob("*_message.txt"), *(OWN / "mfa/email").glob("*_message.txt")]
    names = [path.relative_to(OWN).as_posix().removesuffix("_message.txt") for path in found]
    return [name for name in names if name not in {"account/email/base", "account/email/password_reset_key"}]


@pytest.mark.django_db
@pytest.mark.parametrize("prefix", sorted(account_notices()))
def test_a_mail_about_an_account_is_plain_and_our_own(prefix: str) -> None:
    ada: Any = hub.user("ada")
    agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36"
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7", HTTP_USER_AGENT=agent)
    with allauth_context.request_context(request):
        InvitedOnlyAdapter(request).send_notification_mail(prefix, ada)
    (sent,) = mail.outbox
    assert re.fullmatch(r"\[Afterclick\] [A-Z][a-z ]+", sent.subject)
    for foreign in ("Hello from", "Thank you for using", "precautions", "127.0.0.1:8100", "successfully"):
        assert foreign not in sent.body
    lines = [line for line in str(sent.body).splitlines() if line]
    assert lines[0].endswith(".")
    assert re.fullmatch(r"When: [A-Z][a-z]{2} \d+, \d{4}, \d\d:\d\d:\d\d UTC", lines[1])
    assert lines[2:4] == ["IP address: 203.0.113.7", "Browser: Chrome on Linux"]
    assert lines[4].startswith(
        "If this was not you, reset your password at http://127.0.0.1:8000/accounts/password/reset/"
    )
    assert lines[-1] == "Afterclick, http://127.0.0.1:8000"


def test_dates_and_articles_are_right_in_every_mail(game: Game, config: PostbackConfig) -> None:
    every_mail(game, config)
    assert len(mail.outbox) >= 9
    said = [f"{sent.subject}\n{sent.body}" for sent in mail.outbox]
    assert [text for text in said for rule in RULES if rule.search(text)] == []
    assert any("UTC" in text for text in said)


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game)


def every_mail(game: Game, config: PostbackConfig) -> None:
    ada: Any = hub.user("ada")
    Membership.objects.create(game=game, user=ada, role=Role.ADMIN)
    invited = members.invite(game=game, email="new@studio.example", role=Role.ADMIN, invited_by=ada)
    account_mail.send_invitation(invited)
    for taken in ("next@studio.example", "ada2@studio.example"):
        hub.user("ada2") if taken.startswith("ada2") else None
        requested = addresses.request_change(user=ada, email=taken)
        account_mail.send_address_link(requested)
        account_mail.notify_change_requested(requested, ada.email)
    account_mail.notify_changed(before=ada.email, after="next@studio.example")
    now = django_timezone.now()
    alert = Alert.objects.create(game=game, config=config, health="degraded", cause="It fails.", next_step="Wait.")
    ended = {"recovered_at": now, "ending": AlertEnding.RECOVERED}
    over = Alert.objects.create(game=game, config=config, health="silent", cause="None sent.", next_step="-", **ended)
    for row, kind in ((alert, NoticeKind.OPENED), (over, NoticeKind.RECOVERED), (None, NoticeKind.DIGEST)):
        Notice.objects.create(game=game, user=ada, alert=row, kind=kind)
    notices.deliver_notices()
    texts = {"kind": "no_worker", "title": "No worker", "sentence": "None runs.", "next_step": "Start one."}
    for ended_at in (None, now):
        times = {"began_at": now, "seen_at": now, "next_mail_at": now, "ended_at": ended_at}
        server_mail.send(ServerTrouble.objects.create(**texts, **times))


# CSV --------------------------------------------------------------------------------------------------------------

CONVERSION_COLUMNS = {"player", "person_id", "pixel", "click_id", "click_parameter", "clicked_at", "utm_campaign"}


def exports(game: Game) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Each CSV of the site, by URL name."""
    client = hub.member(game, Role.ADMIN)
    for name in pages.of_the_hub():
        if name.endswith("-export") and name != "privacy-export":  # JSON of one player
            of_network = name in ("delivery-log-export", "comparison-export")
            kwargs = {"slug": game.slug, **({"network": pages.NETWORK} if of_network else {})}
            answer = client.get(reverse(name, kwargs=kwargs) + "?range=all")
            assert answer["Content-Type"] == "text/csv; charset=utf-8"
            text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
            yield name, list(csv.DictReader(io.StringIO(text)))


def test_every_csv_has_iso_times_and_amounts_with_the_digits_of_their_currency(game: Game) -> None:
    player = factories.person(game, user="ada@players.example")
    click = factories.touch(
        player, click_id="E.C.P.7", parameter="ttclid", campaign={"utm_campaign": "spring", "utm_source": "tiktok"}
    )
    sums = {"value": Decimal("1200"), "currency": "JPY", "user_id": "ada@players.example"}
    bought = factories.conversion(player, touch=click, fanned_out_at=django_timezone.now(), **sums)
    sent = factories.delivery(factories.config(game), conversion=bought, state="delivered", finished_at=AT)
    factories.attempt(sent)
    factories.conversion(factories.person(game), properties={})
    found = dict(exports(game))
    assert {"conversions-export", "audit-log-export"} <= set(found)
    for name, lines in found.items():
        if name in ("campaigns-export", "cohorts-export", "comparison-export"):  # have days only
            continue
        times = [text for line in lines for column, text in line.items() if re.search(r"time$|_at$", column) and text]
        assert times, name
        assert all(datetime.fromisoformat(text).tzinfo for text in times), name
    without, with_click = sorted(found["conversions-export"], key=lambda line: line["click_id"])
    assert set(with_click) >= CONVERSION_COLUMNS
    assert {column: with_click[column] for column in ("value", "player", "click_id", "click_parameter", "pixel")} == {
        "value": "1200",
        "player": "ada@players.example",
        "click_id": "E.C.P.7",
        "click_parameter": "ttclid",
        "pixel": factories.PIXELS["tiktok"],
    }
    assert (with_click["utm_campaign"], with_click["utm_source"], with_click["utm_term"]) == ("spring", "tiktok", "")
    assert with_click["clicked_at"] == click.clicked_at.isoformat()
    assert {without[column] for column in ("player", "click_id", "click_parameter", "clicked_at", "utm_campaign")} == {
        ""
    }
    viewer = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/conversions/export/")
    assert b"ada@players.example" not in b"".join(viewer.streaming_content)  # type: ignore[attr-defined]
